"""The recipe of visual question answering: its numbers, and the way of docs/uniperceiver_v1.md on tiny files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image

from uniperceiver import cli
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import LastQuestionsConfig, ModelConfig, VqaConfig, load_train_config
from uniperceiver.training.schedule import learning_rate_factor

PAGE = Path(__file__).parents[2] / "docs" / "uniperceiver_v1.md"


def test_the_numbers_are_those_of_the_released_configuration() -> None:
    """vqa_finetuning_debug, with the data of its data set class (spec/uni_perceiver_v1_moe.md, section 4)."""
    config = load_train_config("v1_vqa", {"model": "MODEL", "data": "DATA"})
    schedule, optimizer, stream = config.schedule, config.optimizer, config.streams["vqa"]
    assert (schedule.steps, schedule.warmup_steps, schedule.constant) == (20_000, 1000, "warmup")
    assert learning_rate_factor(schedule, 20_000, 1.0) * optimizer.learning_rate == pytest.approx(1e-8)
    assert (optimizer.name, optimizer.learning_rate, optimizer.weight_decay) == ("adamw", 4e-5, 0.05)
    assert (optimizer.betas, optimizer.eps, optimizer.clip_norm) == ((0.9, 0.999), 1e-8, None)
    assert optimizer.text_encoder_scale == optimizer.projections_scale == optimizer.decoder_scale == 1.0
    assert (config.fixed_temperature, config.drop_path) == (0.03, (0.0, 0.1))
    task = stream.task
    assert (stream.batch_size, stream.scale, task.max_tokens, task.answer_file) == (64, 0.1, 23, "DATA/vqa/answers.txt")
    assert (task.image.train, task.image.shorter_side, task.image.swap_sides) == (224, (224, 224), True)
    train, held_out = stream.dataset, stream.evaluation
    assert isinstance(train, VqaConfig)
    assert isinstance(held_out, VqaConfig)
    val, genome = train.also
    assert (train.fold, genome.fold) == (None, None)
    assert val.fold == LastQuestionsConfig(last=3000, held_out=False)
    assert held_out == replace(val, fold=LastQuestionsConfig(last=3000, held_out=True))


@pytest.fixture
def folder(tiny_v1_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path) -> Path:
    """Files in the layout of docs/uniperceiver_v1.md, two pictures a part, and v1_vqa for a tiny model."""
    vqa = tmp_path / "DATA" / "vqa"
    vqa.mkdir(parents=True)
    for place, part in enumerate(("train2014", "val2014", "test2015")):
        write_part(tmp_path, f"v2_OpenEnded_mscoco_{part}_questions", f"v2_mscoco_{part}_annotations", part, 10 * place)
    write_part(tmp_path, "VG_questions2", "VG_annotations", "train2014", 0)
    (vqa / "answers.txt").write_text("yes\nno\nleft\nright\n")
    model = replace(tiny_v1_config, temperatures=("downstream",))
    values = {"model": write_model(model, tmp_path), "data": str(tmp_path / "DATA")}
    image = {"train": 32, "test": 32, "shorter_side": [32, 32]}
    small = {
        "extends": {"config": "v1_vqa", "values": values},
        "workers": 0,
        "schedule": {"steps": 2, "warmup_steps": 1},
        "streams": {"vqa": {"task": {"image": image}, "batch_size": 3}},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    return tmp_path


def write_part(root: Path, questions: str, annotations: str, part: str, first: int) -> None:
    numbers = range(first, first + 2)
    for number in numbers:
        path = root / "DATA" / "coco" / part / f"COCO_{part}_{number:012d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 40), (20 * number, 90, 90)).save(path)
    asked = [{"question_id": n, "image_id": n, "question": "is the left dog red ?"} for n in numbers]
    given = [{"question_id": n, "answer_type": "yes/no", "answers": [{"answer": "yes"}] * 10} for n in numbers]
    (root / "DATA" / "vqa" / f"{questions}.json").write_text(json.dumps({"questions": asked}))
    (root / "DATA" / "vqa" / f"{annotations}.json").write_text(json.dumps({"annotations": given}))


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert not ended.value.code


def test_training_evaluating_and_answering_the_questions_of_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands and the YAML of the page, the recipe made small."""
    monkeypatch.chdir(folder)
    run("train", "small.yaml", "--out", "runs/vqa")
    lines = [json.loads(line) for line in Path("runs/vqa/log.jsonl").read_text().splitlines()]
    assert [math.isfinite(line["loss"]) for line in lines if "loss" in line] == [True, True]
    trained = load_checkpoint(Path("runs/vqa/checkpoint"))
    assert trained.model.temperature("downstream").item() == pytest.approx(0.03)
    assert trained.model.config.decoder.drop_path == (0.0, 0.1)
    assert [layer.drop_path for layer in trained.model.g.stack] == [0.0, 0.1]
    assert trained.tasks["vqa"].texts == ("yes", "no", "left", "right")

    run("evaluate", "runs/vqa", "--predictions", "answers")
    measured = json.loads(Path("runs/vqa/report.json").read_text())["streams"]["vqa"]
    assert measured["count"] == 2
    assert measured["metrics"].keys() == {"accuracy", "accuracy_yes_no"}
    assert [row["question_id"] for row in json.loads(Path("answers/vqa.json").read_text())] == [10, 11]

    text = PAGE.read_text(encoding="utf-8")
    test = yaml.safe_load(text[text.index("extends: {config: v1_vqa") :].split("```")[0])
    test["extends"] = {"config": "small.yaml"}
    Path("vqa_test.yaml").write_text(yaml.safe_dump(test))
    run("evaluate", "runs/vqa", "--config", "vqa_test.yaml", "--predictions", "answers")
    rows = json.loads(Path("answers/vqa.json").read_text())
    assert [row["question_id"] for row in rows] == [20, 21]
    assert {row["answer"] for row in rows} <= {"yes", "no", "left", "right"}


def test_a_fixed_temperature_stays_when_training_resumes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run("train", "small.yaml", "--out", "runs/vqa")
    longer = Path("small.yaml").read_text().replace("steps: 2", "steps: 4")
    Path("small.yaml").write_text(longer)
    run("train", "small.yaml", "--out", "runs/vqa", "--resume")
    lines = [json.loads(line) for line in Path("runs/vqa/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line][-1] == 4
    model = load_checkpoint(Path("runs/vqa/checkpoint")).model
    assert model.temperature("downstream").item() == pytest.approx(0.03)
