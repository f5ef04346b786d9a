"""A metric that nothing was measured on is a dash for people and null in JSON."""

from __future__ import annotations

from uniperceiver.evaluation.metric_values import percent, with_nulls


def test_percent() -> None:
    assert (percent(0.12345), percent(1.189), percent(float("nan"))) == ("12.3", "118.9", "–")


def test_nan_is_null() -> None:
    assert with_nulls({"a": 0.5, "b": float("nan"), "c": 0.0}) == {"a": 0.5, "b": None, "c": 0.0}
