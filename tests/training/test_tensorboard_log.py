"""Scalars for TensorBoard: what a training wrote, read back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from uniperceiver import cli
from uniperceiver.training.metrics_log import StepReport
from uniperceiver.training.tensorboard_log import TensorBoardLog


def report(step: int, loss: float) -> StepReport:
    return StepReport(step, "coco", {"names": loss, "box": 0.5}, loss + 0.5, 2.0, 1e-4, 8, 4.0, 4.0 * step)


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Values by name and step."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_a_stream_has_its_losses_norm_and_rate_and_the_training_the_rest(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, done=0)
    log.step(report(1, 3.0), 0.5)
    log.close()
    found = scalars(tmp_path)
    assert {name: values[1] for name, values in found.items() if name.startswith("coco/")} == {
        "coco/names": 3.0,
        "coco/box": 0.5,
        "coco/loss": 3.5,
        "coco/gradient_norm": 2.0,
        "coco/examples_per_second": 2.0,
    }
    assert found["training/learning_rate"][1] == pytest.approx(1e-4)
    assert found["training/progress"][1] == 0.5
    assert found["training/memory_gb"][1] > 0


def test_a_resumed_training_replaces_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, done=0)
    for step in range(1, 6):
        log.step(report(step, 1.0), 0.1)
    log.close()
    log = TensorBoardLog(tmp_path, done=3)
    log.step(report(4, 7.0), 0.1)
    log.close()
    assert scalars(tmp_path)["coco/names"] == {1: 1.0, 2: 1.0, 3: 1.0, 4: 7.0}


def test_a_mixed_training_writes_every_stream_at_every_step(train_yaml: Path, data: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(train_yaml.read_text())
    config |= {"sampling": "mixed", "optimizer": {"name": "adamw"}, "schedule": {"steps": 2}}
    config["streams"] = {name: config["streams"][name] for name in ("folders", "language")}
    train_yaml.write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as end:
        cli.main(["train", str(train_yaml), "--out", str(tmp_path / "run"), "--path", f"root={data}", "--tensorboard"])
    assert not end.value.code
    found = scalars(tmp_path / "run" / "tensorboard")
    assert all(set(found[f"{name}/loss"]) == {1, 2} for name in config["streams"])


def test_without_tensorboard_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'uniperceiver\[log\]'"):
        TensorBoardLog(tmp_path, done=0)
