"""The recipes of fine-tuning and prompt tuning of Uni-Perceiver v1: their numbers, and that they train and adapt."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from uniperceiver.adapter import load_adapter
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import (
    FoldConfig,
    ModelConfig,
    MoEConfig,
    PatchEncoderConfig,
    TemperatureGroup,
    TrainConfig,
    TuneConfig,
    load_train_config,
)
from uniperceiver.training.schedule import learning_rate_factor
from uniperceiver.training.train import initial, train

PAGE = Path(__file__).parents[2] / "docs" / "uniperceiver_v1.md"
PATHS = {"data": "DATA", "model": "MODEL"}
CAPTIONS = ["a red car beside a tree .", "two dogs run on the grass ."]


def table(first: str) -> dict[str, list[str]]:
    """Recipe → the other cells, of the table of the page whose first column is called ``first``."""
    (rows,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE.read_text(), flags=re.MULTILINE)
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows.splitlines()]
    return {name: values for name, *values in cells}


@pytest.mark.parametrize(("name", "numbers"), table("recipe").items())
def test_the_page_has_the_numbers_of_every_recipe(name: str, numbers: list[str]) -> None:
    config = load_train_config(name, PATHS)
    schedule, rate, (row,) = config.schedule, config.optimizer.learning_rate, config.streams.values()
    last = learning_rate_factor(schedule, schedule.steps, 1.0) * rate
    given = [schedule.steps, schedule.warmup_steps, row.batch_size, rate, last, config.drop_path]
    assert given == pytest.approx([float(number) for number in numbers])
    assert (schedule.decay, schedule.constant) == ("cosine", "warmup")
    assert config.optimizer.eps == 1e-6
    assert row.evaluation is not None


def test_the_rest_of_the_released_numbers() -> None:
    configs = {name: load_train_config(name, PATHS) for name in table("recipe")}
    tasks = {name: config.streams["downstream"].task for name, config in configs.items()}
    rest = {
        name: (c.optimizer.weight_decay, c.optimizer.betas, c.optimizer.clip_norm, c.streams["downstream"].scale)
        for name, c in configs.items()
    }
    of_pictures = {"v1_imagenet": (1e-8, (0.9, 0.999), 0.1, 1.0), "v1_imagenet_384": (1e-6, (0.9, 0.999), None, 1.0)}
    of_captions = {"v1_coco_captioning": (1e-4, (0.9, 0.95), 0.1, 2.0)}
    assert rest == dict.fromkeys(rest, (1e-4, (0.9, 0.95), 0.1, 1.0)) | of_pictures | of_captions
    for name, task in tasks.items():
        assert task.label_smoothing == (0.0 if name == "v1_kinetics400" else 0.1)
        assert (task.beams, task.length_penalty, task.mixup, task.cutmix) == (2, 0.0, 0.0, 0.0)
        assert task.image.train == task.image.test == (384 if name == "v1_imagenet_384" else 224)
        if "imagenet" in name:
            assert (task.image.rand_augment, task.random_erasing) == (9, 0.25)
        elif "kinetics" not in name:
            assert task.max_tokens == 30
    kinetics, msvd = (configs[name].streams["downstream"] for name in ("v1_kinetics400", "v1_msvd_retrieval"))
    frames = [(d.sampling.frames, d.sampling.clips, d.sampling.stride) for d in (kinetics.dataset, kinetics.evaluation)]
    assert (frames, kinetics.task.image.crops) == ([(8, 1, 32), (8, 4, 32)], 3)
    frames = [(d.sampling.frames, d.sampling.clips, d.sampling.stride) for d in (msvd.dataset, msvd.evaluation)]
    assert (frames, msvd.task.image.crops) == ([(4, 1, 32), (4, 1, 32)], 1)


def prompted(recipe: str, paths: dict[str, str]) -> TrainConfig:
    """The recipe with the numbers of the page."""
    steps, warmup, rate, target_prompts, _ = table("recipe, tuned")[recipe]
    values = {"recipe": recipe, "steps": steps, "warmup": warmup, "rate": rate, "target_prompts": target_prompts}
    return load_train_config("v1_prompt", paths | values)


@pytest.mark.parametrize(("name", "numbers"), table("recipe, tuned").items())
def test_prompts_of_every_recipe(name: str, numbers: list[str]) -> None:
    config, recipe = prompted(name, PATHS), load_train_config(name, PATHS)
    assert (config.optimizer.weight_decay, config.optimizer.betas) == (0.0, (0.9, 0.95))
    assert config.drop_path == recipe.drop_path
    row = config.streams["downstream"]
    assert config.tune == TuneConfig("prompt", prompts=10, target_prompts="retrieval" in name)
    assert config.schedule.final * config.optimizer.learning_rate == pytest.approx(1e-6)
    assert row.task.label_smoothing == 0.1
    assert row.dataset.fold is not None
    assert row.batch_size == int(numbers[-1])


def test_prompts_of_kinetics() -> None:
    """k400_prompt_tuning_0.01data; all else is the recipe's."""
    config, recipe = load_train_config("v1_prompt_kinetics400", PATHS), load_train_config("v1_kinetics400", PATHS)
    schedule, optimizer, row = config.schedule, config.optimizer, config.streams["downstream"]
    assert (schedule.steps, schedule.warmup_steps, schedule.constant) == (2000, 200, "warmup")
    assert (optimizer.learning_rate, optimizer.learning_rate * schedule.final) == (5e-4, pytest.approx(1e-6))
    assert optimizer == replace(recipe.optimizer, learning_rate=5e-4, weight_decay=0.0)
    assert config.tune == TuneConfig("prompt", prompts=10, target_prompts=False, linear_head=True)
    assert (row.batch_size, row.task.label_smoothing, config.drop_path) == (4, 0.1, 0.1)
    data = recipe.streams["downstream"].dataset
    assert row.dataset == replace(data, fold=FoldConfig(folds=100, held_out=True))
    assert row.evaluation == recipe.streams["downstream"].evaluation


def write_pictures(folder: Path, dataset: str, splits: tuple[str, ...]) -> None:
    rows = []
    for index, split in enumerate(splits):
        Image.new("RGB", (40, 36), (60 * index % 256, 90, 200)).save(folder / f"{index}.jpg")
        sentences = [{"raw": caption} for caption in CAPTIONS]
        rows.append({"imgid": index, "filename": f"{index}.jpg", "split": split, "sentences": sentences})
    (folder / f"dataset_{dataset}.json").write_text(json.dumps({"images": rows}))


def coco_style(names: list[str]) -> dict[str, Any]:
    """MSVD as the official preprocessing writes it."""
    return {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [{"image_id": n, "id": n, "caption": CAPTIONS[n % 2]} for n in range(len(names))],
    }


@pytest.fixture
def tiny_data(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """Below one folder, two to four records of every data set, and GLUE's RTE."""
    data = tmp_path / "data"
    (data / "coco").mkdir(parents=True)
    write_pictures(data / "coco", "coco", ("train", "restval", "val", "test", "train"))
    for part in ("train", "val"):
        for label in ("red car", "blue ball"):
            write_video(
                data / "kinetics400" / part / label / f"{label[:3]}.mp4", colour=(1, 0, int(label == "red car"))
            )
        (data / "kinetics400" / f"{part}.csv").write_text("label,youtube_id\nred car,red\nblue ball,blu\n")
    for name in ("a_1_2", "b_3_4"):
        write_video(data / "msvd" / "YouTubeClips" / f"{name}.avi")
    for part in ("train", "test"):
        (data / "msvd" / f"{part}.json").write_text(json.dumps(coco_style(["a_1_2", "b_3_4"])))
    rows = ["0\tA car is red.\tThe car is red.\tentailment", "1\tTwo dogs run.\tA cat sits.\tnot_entailment"]
    (data / "rte.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + "\n".join(rows) + "\n")
    return data


@pytest.fixture
def paths(
    tiny_v1_config: ModelConfig, write_model: Callable[..., str], tiny_data: Path, tmp_path: Path
) -> dict[str, str]:
    """Model and data of the recipes: two layers, the first of them with experts, and eight frames."""
    moe = MoEConfig(experts=3, layers="even", in_attention=True, targets_have_image_bit=True)
    config = replace(
        tiny_v1_config,
        image=PatchEncoderConfig("patches", image_size=32, position_size=32, frames=8),
        decoder=replace(tiny_v1_config.decoder, moe=moe),
        temperatures=get_args(TemperatureGroup),
    )
    return {"model": write_model(config, tmp_path), "data": str(tiny_data)}


def tiny(config: TrainConfig, steps: int, rate: float) -> TrainConfig:
    """The same for pictures of 32 pixels, in batches of two."""
    streams = {
        name: replace(row, batch_size=2, task=replace(row.task, image=replace(row.task.image, train=32, test=32)))
        for name, row in config.streams.items()
    }
    schedule = replace(config.schedule, steps=steps, warmup_steps=1)
    optimizer = replace(config.optimizer, learning_rate=rate)
    return replace(
        config, streams=streams, schedule=schedule, optimizer=optimizer, workers=0, precision="float32", log_every=1000
    )


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("name", ["v1_coco_retrieval", "v1_kinetics400", "v1_msvd_captioning", "v1_msvd_retrieval"])
def test_recipes_train_with_experts(name: str, paths: dict[str, str], tmp_path: Path) -> None:
    train(tiny(load_train_config(name, paths), steps=2, rate=1e-3), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 2
    assert all(map(math.isfinite, losses(tmp_path / "run")))


def tuned(name: str, paths: dict[str, str]) -> TrainConfig:
    """Prompt tuning of a recipe."""
    if name in table("recipe, tuned"):
        return prompted(name, paths)
    if name.startswith("v1_prompt_"):
        return load_train_config(name, paths)
    rte = str(Path(paths["data"]) / "rte.tsv")
    values = {"model": paths["model"], "task": "rte", "steps": "9", "rate": "1e-3", "train": rte, "dev": rte}
    return replace(load_train_config(name, values), tune=TuneConfig("prompt"))


@pytest.mark.parametrize(
    ("name", "rate"),
    [("v1_prompt_kinetics400", 0.05), ("v1_coco_captioning", 0.01), ("glue", 0.05)],
    ids=str,
)
def test_prompts_alone_learn_and_are_all_that_is_saved(
    name: str, rate: float, paths: dict[str, str], tmp_path: Path
) -> None:
    """With experts; of one record, or of GLUE's two. Gates and experts, words and patches stay as they are."""
    if name == "v1_coco_captioning":  # prompts before random layers find no words
        whole = tiny(load_train_config(name, paths), steps=40, rate=0.01)
        paths["model"] = str(train(whole, tmp_path / "whole"))
    config = tiny(tuned(name, paths), steps=15, rate=rate)
    trained = load_checkpoint(train(config, tmp_path / "run")).model
    values = losses(tmp_path / "run")
    assert sum(values[-3:]) < 0.8 * sum(values[:3])
    base = initial(replace(config, tune=TuneConfig(), drop_path=None)).model
    before = base.state_dict()
    changed = {n for n, t in trained.state_dict().items() if n not in before or not torch.equal(t, before[n])}
    listed = re.compile(r"\.prompts\.|(?<!\.gate\.)norm|ln_post|spe_bias|^heads\.")
    assert changed == {name for name in trained.state_dict() if listed.search(name)}
    adapter = tmp_path / "run" / "adapter.safetensors"
    with safe_open(adapter, "pt") as file:
        assert set(file.keys()) == changed
    load_adapter(base, adapter)
    for key, tensor in trained.state_dict().items():
        assert torch.equal(base.state_dict()[key], tensor), key
