"""Every task of a tiny real model, evaluated from files to metrics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver.config import (
    CocoInstancesConfig,
    DatasetConfig,
    ImageFolderConfig,
    ImageSizeConfig,
    KarpathyCaptionsConfig,
    ModelConfig,
    PlainTextConfig,
    TaskConfig,
    TaskKind,
    VqaConfig,
)
from uniperceiver.data.datasets import Dataset, open_dataset
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.data.transforms import test_transform as transform_for
from uniperceiver.evaluation.evaluate import evaluate, scorer_for
from uniperceiver.evaluation.metric_names import check_metric
from uniperceiver.evaluation.scoring import EvaluationResult
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.task import Task, TaskSetting

CAPTIONS = ["a red car beside a green tree", "two dogs run on the grass", "a cat sits on a chair", "the man rides"]
SIZES = [(64, 64), (40, 96), (96, 40), (64, 64)]


@pytest.fixture
def model(tiny_model_config: ModelConfig) -> UniPerceiver:
    torch.manual_seed(0)
    return UniPerceiver(tiny_model_config).train()


@pytest.fixture
def data(tmp_path: Path) -> dict[TaskKind, DatasetConfig]:
    """Four small pictures, annotated in every format."""
    random = np.random.default_rng(0)
    images = tmp_path / "images"
    images.mkdir()
    for i, (height, width) in enumerate(SIZES):
        picture = Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))
        picture.save(images / f"{i + 1:012d}.png")
        folder = tmp_path / "classes" / ["cat", "dog", "car"][i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{i}.png")
    files = [f"{i + 1:012d}.png" for i in range(4)]
    _write_coco(tmp_path / "coco.json", files)
    rows = [
        {
            "filename": file,
            "imgid": i,
            "split": "test",
            "sentences": [{"raw": CAPTIONS[i]}, {"raw": f"{CAPTIONS[i]} and {CAPTIONS[-i]}"}],
        }
        for i, file in enumerate(files)
    ]
    _write(tmp_path / "captions.json", {"images": rows})
    questions = [{"question_id": i, "image_id": i + 1, "question": "how many birds are there ?"} for i in range(4)]
    answers = [
        {"question_id": i, "image_id": i + 1, "answers": [{"answer": ["yes", "three"][i // 3]}] * 10} for i in range(4)
    ]
    _write(tmp_path / "questions.json", {"questions": questions})
    _write(tmp_path / "answers.json", {"annotations": answers})
    (tmp_path / "text.txt").write_text("\n".join(CAPTIONS), encoding="utf-8")
    captions = KarpathyCaptionsConfig(str(tmp_path / "captions.json"), str(images), ("test",))
    return {
        "classification": ImageFolderConfig(str(tmp_path / "classes")),
        "detection": CocoInstancesConfig(str(tmp_path / "coco.json"), str(images)),
        "captioning": captions,
        "retrieval": captions,
        "masked_language_modeling": PlainTextConfig(str(tmp_path / "text.txt")),
        "visual_question_answering": VqaConfig(
            str(tmp_path / "questions.json"), str(tmp_path / "answers.json"), str(images)
        ),
    }


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_coco(path: Path, files: list[str]) -> None:
    images = [
        {"id": i + 1, "file_name": file, "height": SIZES[i][0], "width": SIZES[i][1]} for i, file in enumerate(files)
    ]
    objects = [
        {
            "id": i + 1,
            "image_id": i + 1,
            "category_id": 1 + i % 2,
            "bbox": [4, 4, 20, 20],
            "area": 400,
            "iscrowd": 0,
            "segmentation": [[4, 4, 24, 4, 24, 24, 4, 24]],
        }
        for i in range(3)  # the last picture has no object
    ]
    _write(path, {"images": images, "annotations": objects, "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2)]})


def make(kind: TaskKind, dataset: Dataset, model: UniPerceiver, tokenizer: Tokenizer) -> tuple[Task, TaskConfig]:
    config = TaskConfig(kind=kind, image=ImageSizeConfig(test=64, test_longest=96), max_tokens=16)
    setting = TaskSetting(config, tokenizer, model.config.image.backbone)
    return build_task(setting, find_candidates(setting, dataset)), config


def run(kind: TaskKind, data: dict[TaskKind, DatasetConfig], model: UniPerceiver, tokenizer: Tokenizer, batch_size=2):
    dataset = open_dataset(data[kind])
    task, config = make(kind, dataset, model, tokenizer)
    has_training = kind in ("captioning", "visual_question_answering")
    return evaluate(
        model,
        task,
        dataset,
        transform_for(kind, config.image),
        batch_size=batch_size,
        training=dataset if has_training else None,
        show_progress=False,
    )


EXPECTED = {
    "classification": ("top1", {"top1", "top5"}, 4),
    "detection": ("box_ap", {"box_ap50", "mask_ap", "mask_ap75", "agnostic_box_ap", "agnostic_mask_ar100"}, 4),
    "captioning": ("cider_d", {"bleu1", "bleu2", "bleu3", "bleu4", "rouge_l"}, 4),
    "retrieval": ("image_to_text_r1", {"image_to_text_r10", "text_to_image_r1", "text_to_image_r5"}, 4),
    "masked_language_modeling": ("top1", {"top5"}, None),
    "visual_question_answering": ("accuracy", {"accuracy"}, 4),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_task_is_evaluated(kind, data, model, tokenizer) -> None:
    result: EvaluationResult = run(kind, data, model, tokenizer)
    main, metrics, count = EXPECTED[kind]
    assert result.main == main
    assert {main, *metrics} <= result.metrics.keys()
    assert main in result.baselines
    assert result.baselines.keys() <= result.metrics.keys()
    assert count is None or result.count == count
    for name, value in (result.metrics | result.baselines).items():
        check_metric(kind, name)
        assert np.isnan(value) or 0 <= value <= (10 if name == "cider_d" else 1), name
    assert result.protocol.endswith(".")
    assert model.training  # as before
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", ["classification", "detection", "retrieval", "visual_question_answering"])
def test_batch_size_does_not_matter(kind, data, model, tokenizer) -> None:
    one, three = (run(kind, data, model, tokenizer, size) for size in (1, 3))
    assert one.metrics == pytest.approx(three.metrics, abs=1e-6, nan_ok=True)


def test_baselines_by_hand(data, model, tokenizer) -> None:
    assert run("classification", data, model, tokenizer).baselines == {"top1": 0.5, "top5": 1}  # cat, cat, dog, car
    answers = run("visual_question_answering", data, model, tokenizer).baselines
    assert answers == {"accuracy": 0.75, "accuracy_how_many": 0.75}  # yes, yes, yes
    detection = run("detection", data, model, tokenizer)
    # Every box is the same, relative sizes differ: the mean box of a class of pictures of one size only is exact.
    assert 0 <= detection.baselines["box_ap50"] <= 1
    assert detection.per_class.keys() == {"c1", "c2"}


def test_class_names_must_be_the_candidates(data, model, tokenizer) -> None:
    dataset = open_dataset(data["classification"])
    task, config = make("classification", dataset, model, tokenizer)
    dataset.names = dataset.names[::-1]
    with pytest.raises(ValueError, match="3 candidates are not the 3 class names"):
        evaluate(
            model,
            task,
            dataset,
            transform_for("classification", config.image),
            batch_size=2,
            show_progress=False,
        )
    assert model.training  # also after an error


def test_a_prediction_without_metric_is_an_error(data, model, tokenizer) -> None:
    dataset = open_dataset(data["classification"])
    task, _ = make("classification", dataset, model, tokenizer)
    with pytest.raises(TypeError, match="type str"):
        scorer_for("text", task, dataset)
