"""Adapter files: what was trained goes alone into a file and back onto the untouched model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from uniperceiver import Predictor, cli
from uniperceiver.adapter import adapted, load_adapter
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import (
    LinearHeadConfig,
    ModelConfig,
    PatchEncoderConfig,
    StreamConfig,
    TrainConfig,
    TuneConfig,
    load_train_config,
)
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.training.train import initial, train

FAMILIES = ("v1", "v2")
NAMES = ("blue ball", "red car")


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    streams = {"folders": config.streams["folders"], "pairs": config.streams["pairs"]}
    return replace(config, streams=streams, schedule=replace(config.schedule, steps=2))


Of = Callable[[str, TrainConfig], TrainConfig]


@pytest.fixture
def of_family(tiny_v1_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path) -> Of:
    """The same training of a model of one of the families."""

    def choose(family: str, config: TrainConfig) -> TrainConfig:
        if family == "v2":
            return config
        image = PatchEncoderConfig("patches", image_size=64, position_size=64)
        return replace(config, model=write_model(replace(tiny_v1_config, image=image), tmp_path))

    return choose


def only(config: TrainConfig, stream: str) -> dict[str, StreamConfig]:
    return {stream: config.streams[stream]}


@pytest.mark.parametrize("stream", ["folders", "pairs"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["lora", "prompt"])
def test_the_adapter_alone_on_the_base_is_the_trained_model(
    mode: str, family: str, stream: str, config: TrainConfig, of_family: Of, tmp_path: Path
) -> None:
    """Any task and any family, from one configuration."""
    config = of_family(family, replace(config, streams=only(config, stream)))
    tuned = replace(config, tune=TuneConfig(mode, rank=2, prompts=2))
    trained = load_checkpoint(train(tuned, tmp_path / "run")).model
    adapter = tmp_path / "run" / "adapter.safetensors"
    base = initial(config).model
    tasks = load_adapter(base, adapter)
    assert [task.config.kind for task in tasks.values()] == [config.streams[stream].task.kind]
    assert base.config == trained.config
    assert base.config.heads == ((LinearHeadConfig(NAMES),) if (mode, stream) == ("prompt", "folders") else ())
    for name, tensor in trained.state_dict().items():
        assert torch.equal(base.state_dict()[name], tensor), name
    with safe_open(adapter, "pt") as file:
        names = list(file.keys())
    assert not any(name.startswith(("f_image.", "f_text.words", "g.proj.weight")) for name in names)
    with pytest.raises(ValueError, match="adapted already"):
        load_adapter(base, adapter)


def test_what_is_no_adapter_or_of_another_model_is_refused(config: TrainConfig, data: Path, tmp_path: Path) -> None:
    tuned = replace(config, streams=only(config, "folders"), tune=TuneConfig("prompt", prompts=2))
    weights = train(tuned, tmp_path / "run") / "model.safetensors"
    base = initial(config).model
    for path, message in ((weights, "header does not say"), (tmp_path / "none", "no adapter file")):
        with pytest.raises(ValueError, match=message):
            load_adapter(base, path)
    (tmp_path / "broken").write_bytes(b"x" * 20)
    with pytest.raises(ValueError, match="not an adapter file, or broken"):
        load_adapter(base, tmp_path / "broken")
    other = UniPerceiver(replace(base.config, decoder=replace(base.config.decoder, layers=1)))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"surplus"):
        load_adapter(other, tmp_path / "run" / "adapter.safetensors")
    assert other.config.decoder.prompts is None
    assert before.keys() == other.state_dict().keys()


def test_one_option_puts_prompts_onto_the_untouched_model(
    config: TrainConfig, of_family: Of, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = of_family("v1", replace(config, streams=only(config, "folders")))
    base = train(config, tmp_path / "base")
    optimizer = replace(config.optimizer, learning_rate=0.1)
    tuned = replace(config, model=str(base), tune=TuneConfig("prompt", prompts=2), optimizer=optimizer)
    trained = train(tuned, tmp_path / "tuned")
    adapter = tmp_path / "tuned" / "adapter.safetensors"
    picture = Image.new("RGB", (64, 64), (200, 20, 20))
    picture.save(tmp_path / "red.png")
    (plain,) = Predictor.from_pretrained(base).classify(picture)
    (expected,) = Predictor.from_pretrained(trained).classify(picture)
    (with_prompts,) = Predictor.from_pretrained(base, adapter=adapter).classify(picture)
    assert with_prompts.probabilities.tolist() == pytest.approx(expected.probabilities.tolist(), abs=1e-6)
    assert with_prompts.names == expected.names
    assert abs(plain.probabilities[0] - expected.probabilities[0]) > 1e-3
    arguments = ["classify", str(tmp_path / "red.png"), "--model", str(base), "--adapter", str(adapter)]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--format", "json"])
    assert not ended.value.code
    assert expected.names[0] in capsys.readouterr().out
    for model, extra in ((trained, []), (base, ["--adapter", str(adapter)])):
        with pytest.raises(SystemExit) as ended:
            cli.main(["evaluate", str(model), *extra, "--out", str(tmp_path / f"{model.parent.name}.json")])
        assert not ended.value.code
    reports = [json.loads((tmp_path / f"{name}.json").read_text())["streams"] for name in ("tuned", "base")]
    assert reports[0]["folders"]["metrics"] == reports[1]["folders"]["metrics"]


def test_the_tasks_of_an_adapter_replace_those_of_their_kind(
    config: TrainConfig, of_family: Of, tmp_path: Path
) -> None:
    config = of_family("v1", config)
    base = train(config, tmp_path / "base")
    row = config.streams["folders"]
    streams = {"mine": replace(row, task=replace(row.task, max_tokens=9))}
    train(replace(config, model=str(base), streams=streams, tune=TuneConfig("prompt", prompts=2)), tmp_path / "tuned")
    checkpoint = adapted(load_checkpoint(base), tmp_path / "tuned" / "adapter.safetensors")
    assert list(checkpoint.tasks) == ["pairs", "mine"]
    assert checkpoint.tasks["mine"].config.max_tokens == 9
