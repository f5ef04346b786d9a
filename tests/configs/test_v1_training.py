"""The recipes of Uni-Perceiver v1 and v1-MoE: their numbers, and that they train on tiny files in their layout."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import (
    ModelConfig,
    PatchEncoderConfig,
    StreamConfig,
    TrainConfig,
    TuneConfig,
    load_config,
    load_train_config,
)
from uniperceiver.convert.initialisation import initialise
from uniperceiver.data import clip_tokenizer
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.transforms import train_transform
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.training.schedule import learning_rate_factor
from uniperceiver.training.train import train

PATHS = {"data": "DATA", "model": "MODEL", "stage1": "STAGE1", "imagenet": "IMAGENET"}
TABLE_10 = {
    "imagenet21k": ("classification", 64, 0.333, 1.0),
    "kinetics700": ("classification", 4, 0.0925, 0.05),
    "moments_in_time": ("classification", 24, 0.0185, 0.05),
    "masked_books_and_wiki": ("masked_language_modeling", 64, 0.07775, 1.0),
    "masked_paq": ("masked_language_modeling", 512, 0.0222, 1.0),
    "next_word_books_and_wiki": ("language_modeling", 64, 0.07775, 1.0),
    "next_word_paq": ("language_modeling", 400, 0.0222, 1.0),
    "retrieval_paq": ("retrieval", 512, 0.0222, 1.0),
}
PAIRS = {"yfcc": 2, "cc12m": 2, "cc3m": 1, "visual_genome": 1, "coco_caption": 1, "sbu": 1}
"""Shares, in units of 0.01389."""
MIX = {"yfcc": 0.584, "cc12m": 0.5057, "cc3m": 0.26295, "visual_genome": 0.1766, "coco_caption": 0.1144, "sbu": 0.1383}


def row(stream: StreamConfig) -> tuple[str, int, float, float]:
    return stream.task.kind, stream.batch_size, stream.sampling_weight, stream.scale


def test_v1_base_is_table_10() -> None:
    config = load_train_config("v1_base", defaults=PATHS)
    expected = dict(TABLE_10)
    for name, share in PAIRS.items():
        expected[f"masked_{name}"] = ("masked_language_modeling", 64, share * 0.01389, 1.0)
        expected[f"captioning_{name}"] = ("captioning", 56, share * 0.01389, 1.0)
        expected[f"retrieval_{name}"] = ("retrieval", 128, share * 0.01389, 1.0)
    assert {name: row(stream) for name, stream in config.streams.items()} == expected
    assert (config.schedule.steps, config.schedule.warmup_steps, config.drop_path) == (500_000, 50_000, 0.1)
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.clip_norm) == (2e-4, 0.05, 5.0)


@pytest.mark.parametrize("stage", [1, 2])
def test_moe_stages_are_those_of_the_released_training(stage: int) -> None:
    config = load_train_config(f"v1_moe_base_stage{stage}", defaults=PATHS)
    first = stage == 1
    expected = {
        "imagenet21k": ("classification", 720 if first else 440, 2.486, 1.0),
        "kinetics700": ("classification", 64 if first else 12, 0.76 if first else 1.0, 0.1),
        "moments_in_time": ("classification", 112 if first else 68, 0.44 if first else 0.2, 0.1),
        "masked_books_and_wiki": ("masked_language_modeling", 512, 2.75, 0.5),
    }
    for name, share in MIX.items():
        expected[f"captioning_{name}"] = ("captioning", 300 if first else 200, share, 1.0)
        expected[f"retrieval_{name}"] = ("retrieval", 512 if first else 320, share, 0.5)
    assert {name: row(stream) for name, stream in config.streams.items()} == expected
    assert sum(s.sampling_weight for s in config.streams.values()) == pytest.approx(10.0, abs=0.01)
    mixing = config.streams["imagenet21k"].task
    assert (mixing.mixup, mixing.cutmix) == ((0.8, 1.0) if first else (0.0, 0.0))
    assert {stream.task.image.train for stream in config.streams.values() if "masked" not in stream.task.kind} == {
        160 if first else 224
    }
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == ((1e-3, 0.2) if first else (2e-5, 0.05))
    assert bool(config.init_from) is not first
    check_schedule(config, (230_000, 10_000) if first else (50_000, 5_000), last_rate=1e-6)


def check_schedule(config: TrainConfig, lengths: tuple[int, int], last_rate: float) -> None:
    """Warm-up, then one cosine down to a rate."""
    schedule, (steps, warmup) = config.schedule, lengths
    assert (schedule.steps, schedule.warmup_steps, schedule.decay) == (steps, warmup, "cosine")
    assert schedule.constant == "warmup"
    last = learning_rate_factor(schedule, steps, 1.0) * config.optimizer.learning_rate
    assert last == pytest.approx(last_rate)


def test_prompts_are_tuned_with_the_numbers_of_the_released_configuration() -> None:
    """in1k_prompt_tuning_0.01data_lr1e-4_notshare."""
    config = load_train_config("v1_prompt_imagenet", defaults=PATHS)
    check_schedule(config, (2500, 500), last_rate=1e-6)
    optimizer, stream = config.optimizer, config.streams["imagenet"]
    assert (optimizer.learning_rate, optimizer.betas, optimizer.eps) == (1e-4, (0.9, 0.95), 1e-6)
    assert (optimizer.weight_decay, optimizer.clip_norm, config.drop_path) == (0.0, 0.1, 0.0)
    assert optimizer.text_encoder_scale == optimizer.decoder_scale == 1.0
    assert (stream.batch_size, stream.task.label_smoothing) == (64, 0.1)
    assert config.tune == TuneConfig("prompt", prompts=10, target_prompts=True, linear_head=True)


def test_glue_has_the_numbers_of_rte() -> None:
    values = {"task": "rte", "steps": "2500", "rate": "2.0e-5", "train": "train.tsv", "dev": "dev.tsv"}
    config = load_train_config("glue", values, defaults={"model": "MODEL"})
    check_schedule(config, (2500, 150), last_rate=2e-8)
    optimizer, stream = config.optimizer, config.streams["rte"]
    assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ((0.9, 0.98), 1e-8, 0.1)
    assert (optimizer.learning_rate, optimizer.clip_norm) == (2e-5, 0.5)
    assert (stream.batch_size, stream.task.max_tokens, stream.task.label_smoothing) == (16, 256, 0.1)


def test_another_task_of_glue_is_a_few_lines(tmp_path: Path) -> None:
    """The example of docs/uniperceiver_v1.md."""
    page = (Path(__file__).parents[2] / "docs" / "uniperceiver_v1.md").read_text()
    (tmp_path / "qqp.yaml").write_text(page[page.index("extends:\n  config: glue") :].split("```")[0])
    config = load_train_config(str(tmp_path / "qqp.yaml"))
    check_schedule(config, (115_000, 28_000), last_rate=1e-8)
    assert (config.optimizer.learning_rate, config.streams["qqp"].batch_size) == (1e-5, 32)


@pytest.mark.parametrize("name", ["v1_base", "v1_moe_base_stage1", "v1_moe_base_stage2"])
def test_everything_but_language_modelling_is_smoothed(name: str) -> None:
    """App. E of the v1 paper."""
    for stream in load_train_config(name, defaults=PATHS).streams.values():
        is_smoothed = stream.task.kind in {"classification", "retrieval"}
        assert stream.task.label_smoothing == (0.1 if is_smoothed else 0.0)


def tiny(config: TrainConfig, name: str, stream: StreamConfig) -> TrainConfig:
    image = replace(stream.task.image, train=32, test=32)
    stream = replace(stream, task=replace(stream.task, image=image), batch_size=4)
    schedule = replace(config.schedule, steps=3, warmup_steps=1)
    return replace(config, streams={name: stream}, schedule=schedule, workers=0, precision="float32")


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_the_augmentations_of_imagenet_21k_train(tiny_model: Path, imagenet: Path, tmp_path: Path) -> None:
    config = load_train_config("v1_base", defaults=PATHS | {"model": str(tiny_model)})
    stream = config.streams["imagenet21k"]
    dataset = replace(stream.dataset, root=str(imagenet / "train"), names=str(imagenet / "classes.csv"))
    train(tiny(config, "imagenet21k", replace(stream, dataset=dataset)), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 3
    assert all(map(math.isfinite, losses(tmp_path / "run")))
    transform = train_transform("classification", stream.task.image)
    record = transform(open_dataset(dataset)[0])
    assert record.image.shape == (3, 224, 224)


def test_prompts_are_tuned_from_one_configuration(tiny_model: Path, imagenet: Path, tmp_path: Path) -> None:
    config = load_train_config("v1_prompt_imagenet", {"model": str(tiny_model), "imagenet": str(imagenet)})
    stream = config.streams["imagenet"]
    assert len(open_dataset(stream.dataset)) == 1  # of six, the first of every hundred
    folder = train(tiny(config, "imagenet", stream), tmp_path / "run")
    assert all(map(math.isfinite, losses(tmp_path / "run")))
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written["heads"] == [{"classes": ["red car", "blue ball"]}]
    assert written["decoder"]["drop_path"] == 0.0
    assert (tmp_path / "run" / "adapter.safetensors").is_file()


def test_the_second_stage_starts_from_smaller_pictures(tiny_model: Path, tmp_path: Path) -> None:
    small = UniPerceiver(of_size(tiny_model, 32))
    save_file(dict(small.state_dict()), tmp_path / "small.safetensors")
    large = UniPerceiver(of_size(tiny_model, 64))
    places = large.f_image.spatial_positions.clone()
    report = initialise(large, f"file:{tmp_path / 'small.safetensors'}")
    assert report.dropped == ("f_image.spatial_positions",)
    assert places.equal(large.f_image.spatial_positions)
    assert small.g.proj.weight.equal(large.g.proj.weight)


def test_the_preset_trains_with_the_words_of_clip(
    imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model that v1_base names, but small: what it says about its tokenizer is what counts."""
    pytest.importorskip("ftfy", reason="comes with CLIP's vocabulary")
    (tmp_path / "small.yaml").write_text(
        "extends: {config: v1_base}\n"
        "image: {image_size: 32, position_size: 32}\n"
        "decoder: {width: 16, layers: 1, heads: 2, feedforward: 32}\n"
    )
    config = load_train_config("v1_prompt_imagenet", {"model": str(tmp_path / "small.yaml"), "imagenet": str(imagenet)})
    config = replace(tiny(config, "imagenet", config.streams["imagenet"]), tune=TuneConfig())
    folder = train(config, tmp_path / "run")
    assert "they begin random" in capsys.readouterr().out
    assert load_checkpoint(folder).tokenizer.slot_id == 49410
    monkeypatch.setattr(clip_tokenizer, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'uniperceiver\[clip\]'"):
        train(config, tmp_path / "without")


def of_size(path: Path, side: int) -> ModelConfig:
    config = load_config(str(path))
    assert isinstance(config.image, PatchEncoderConfig)
    return replace(config, image=replace(config.image, image_size=side))
