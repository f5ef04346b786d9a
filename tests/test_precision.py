"""Whether bfloat16 is quicker, and what `auto` makes of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from uniperceiver import precision as subject
from uniperceiver.config import load_train_config
from uniperceiver.precision import Trial, compare_precisions, computed_in, describe_precisions, inference, reduced
from uniperceiver.training.train import train

PROCESSOR = torch.device("cpu")


def pretend(monkeypatch: pytest.MonkeyPatch, bfloat16_is_quick: bool) -> None:
    trial = Trial(1.0, 0.25) if bfloat16_is_quick else Trial(1.0, 3.0)
    monkeypatch.setattr(subject, "compare_precisions", lambda: trial)


def test_this_processor_is_measured_once() -> None:
    trial = compare_precisions()
    assert trial is compare_precisions()
    assert trial.float32 > 0
    assert trial.bfloat16 > 0
    assert ("processors: bfloat16 (" in describe_precisions()) == trial.bfloat16_wins


@pytest.mark.parametrize(("bfloat16", "wins"), [(0.25, True), (0.66, True), (0.7, False), (1.0, False), (3.0, False)])
def test_it_must_be_quicker_by_enough(bfloat16: float, wins: bool) -> None:
    assert Trial(1.0, bfloat16).bfloat16_wins == wins


@pytest.mark.parametrize("is_quick", [True, False])
def test_auto_is_what_is_quicker_and_what_is_asked_for_stays(monkeypatch: pytest.MonkeyPatch, is_quick: bool) -> None:
    pretend(monkeypatch, is_quick)
    assert computed_in("auto", PROCESSOR) == ("bfloat16" if is_quick else "float32")
    assert computed_in("float32", PROCESSOR) == "float32"
    assert computed_in("bfloat16", PROCESSOR) == "bfloat16"
    assert computed_in("auto", torch.device("meta")) == "float32"


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_a_gpu_is_asked(monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    pretend(monkeypatch, not has_bfloat16)
    assert computed_in("auto", torch.device("cuda")) == ("bfloat16" if has_bfloat16 else "float32")


def test_products_are_of_the_chosen_kind() -> None:
    x = torch.ones(2, 2)
    with reduced(PROCESSOR, "bfloat16"):
        assert (x @ x).dtype == torch.bfloat16
    with inference(PROCESSOR, "float32"):
        assert (x @ x).dtype == torch.float32
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("is_quick", [True, False])
def test_a_training_says_what_it_chose(
    train_yaml: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_quick: bool,
) -> None:
    pretend(monkeypatch, is_quick)
    config = load_train_config(str(train_yaml), {"root": str(data)})
    schedule = dataclasses.replace(config.schedule, steps=1)
    train(dataclasses.replace(config, precision="auto", schedule=schedule, workers=0), tmp_path / "run")
    assert f"precision: {'bfloat16' if is_quick else 'float32'} (auto)" in capsys.readouterr().out
