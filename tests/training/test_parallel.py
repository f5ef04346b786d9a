"""FSDP2 computes what DDP and one process compute; its checkpoints are the same files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from uniperceiver.config import OptimizerConfig, TrainConfig, TuneConfig, WeightAverageConfig, load_train_config
from uniperceiver.training.train import train


def without_randomness(train_yaml: Path, batch_size: int) -> Path:
    """A configuration whose streams and model draw nothing inside a process, of two steps."""
    config = yaml.safe_load(train_yaml.read_text())
    model = yaml.safe_load(Path(config["model"]).read_text())
    model["decoder"]["moe"]["noise"] = 0.0
    model["decoder"]["drop_path"] = 0.0
    Path(config["model"]).write_text(yaml.safe_dump(model))
    config["streams"] = {name: config["streams"][name] | {"batch_size": batch_size} for name in ("folders", "shards")}
    # Sums differ in the last bits, and AdamW turns bits of a tiny first gradient into whole steps.
    config["optimizer"] = {"learning_rate": 1.0e-4, "eps": 1.0e-3}
    config["schedule"]["steps"] = 2
    written = train_yaml.with_name(f"train-{batch_size}.yaml")
    written.write_text(yaml.safe_dump(config))
    return written


def read(train_yaml: Path, data: Path) -> TrainConfig:
    """What `without_randomness` wrote, with a moving average and evaluations."""
    loaded = load_train_config(str(train_yaml), {"root": str(data)})
    return replace(loaded, weight_average=WeightAverageConfig(decay=0.5), keep_best="folders/top1", evaluate_every=2)


def work(train_yaml: Path, data: Path, out: Path) -> None:
    """What every process does: train with both, resume one, tune another way."""
    config = read(train_yaml, data)
    for kind in ("fsdp", "ddp"):
        train(replace(config, parallel=kind), out / kind)
    first = replace(config, parallel="fsdp", schedule=replace(config.schedule, steps=1))
    train(first, out / "resumed")
    train(replace(config, parallel="fsdp"), out / "resumed", resume=True)
    adamw = OptimizerConfig(name="adamw", clip_norm=1.0)
    lora = replace(first, parallel="fsdp", optimizer=adamw, tune=TuneConfig("lora", rank=2), keep_best=None)
    train(replace(lora, evaluate_every=None), out / "lora")


def weights(folder: Path, name: str = "model.safetensors") -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint" / name)


@pytest.mark.slow
@pytest.mark.usefixtures("in_double")
def test_sharded_equals_replicated_equals_one_process(
    train_yaml: Path, data: Path, tmp_path: Path, in_two_processes: Callable[..., None]
) -> None:
    in_two_processes(work, without_randomness(train_yaml, 2), data, tmp_path)
    train(read(without_randomness(train_yaml, 4), data), tmp_path / "one")
    for file in ("model.safetensors", "average.safetensors"):
        one = weights(tmp_path / "one", file)
        for kind in ("ddp", "fsdp"):
            given = weights(tmp_path / kind, file)
            assert given.keys() == one.keys()
            for name, tensor in one.items():
                torch.testing.assert_close(given[name], tensor, rtol=1e-6, atol=1e-8, msg=f"{kind} {name}")
    sharded, resumed = weights(tmp_path / "fsdp"), weights(tmp_path / "resumed")
    assert all(torch.equal(sharded[name], resumed[name]) for name in sharded)
    assert (tmp_path / "fsdp" / "best" / "model.safetensors").is_file()
    assert any(name.endswith(".0.up") and bool(t.any()) for name, t in weights(tmp_path / "lora").items())
