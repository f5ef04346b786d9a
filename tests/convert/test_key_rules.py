"""Rules from names there to names here, and the report of what did not fit."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from uniperceiver.convert.key_rules import UnknownKeyError, check, our_key, rename
from uniperceiver.load_report import KeyMismatchError, LoadReport

RULES = (
    (r"block\.(\d+)\.w", r"layers.\1.weight"),
    (r"copy\.(\d+)\.w", r"layers.\1.weight"),
    (r"optimizer\..+", None),
)
rename_tensors = partial(rename, name=partial(our_key, rules=RULES))


def test_whole_names_are_matched() -> None:
    assert our_key("block.12.w", RULES) == "layers.12.weight"
    assert our_key("optimizer.step", RULES) is None
    with pytest.raises(UnknownKeyError, match=r"my\.block\.1\.w"):
        our_key("my.block.1.w", RULES)


def test_everything_fits() -> None:
    given = {"block.0.w": torch.ones(2), "copy.0.w": torch.ones(2), "optimizer.step": torch.tensor(3)}
    weights, report = rename_tensors(given)
    report = check(weights, {"layers.0.weight": torch.zeros(2)}, report, "the file")
    assert list(weights) == ["layers.0.weight"]
    assert report.is_complete
    assert report.matched == (("block.0.w", "layers.0.weight"), ("copy.0.w", "layers.0.weight"))
    assert report.dropped == ("optimizer.step",)


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({}, "missing", "layers.0.weight"),
        ({"block.0.w": torch.ones(3)}, "misshaped", r"given \(3,\), expected \(2,\)"),
        ({"block.0.w": torch.ones(2), "block.1.w": torch.ones(2)}, "surplus", "block.1.w"),
        ({"block.0.w": torch.ones(2), "what": torch.ones(2)}, "surplus", "what"),
        ({"block.0.w": torch.ones(2), "copy.0.w": torch.zeros(2)}, "disagreeing", "block.0.w and copy.0.w"),
    ],
)
def test_every_problem_is_an_error_that_names_the_keys(given: dict[str, Tensor], kind: str, text: str) -> None:
    weights, report = rename_tensors(given)
    with pytest.raises(KeyMismatchError, match=text) as error:
        check(weights, {"layers.0.weight": torch.zeros(2)}, report, "the file")
    assert getattr(error.value.report, kind)
    others = {"missing", "misshaped", "surplus", "disagreeing"} - {kind}
    assert not any(getattr(error.value.report, other) for other in others)


def test_long_lists_are_cut() -> None:
    report = LoadReport(matched=(), missing=tuple(f"key{i}" for i in range(9)))
    assert "9 missing" in report.problems()
    assert "key4, …" in report.problems()
    assert "key5" not in report.problems()
