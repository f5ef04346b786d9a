"""The draw of a stream per step."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from uniperceiver.config import PlainTextConfig, StreamConfig, TaskConfig
from uniperceiver.training.mixture import Mixture

WEIGHTS = {"detection": 3.0, "captions": 1.0, "names": 0.5}


def make_streams(weights: dict[str, float]) -> dict[str, StreamConfig]:
    task, dataset = TaskConfig(kind="masked_language_modeling"), PlainTextConfig(path="texts.txt")
    return {
        name: StreamConfig(task=task, dataset=dataset, batch_size=1, sampling_weight=weight, scale=weight + 1)
        for name, weight in weights.items()
    }


def test_ratios_add_up_to_one_and_scales_are_as_given() -> None:
    mixture = Mixture(make_streams(WEIGHTS), seed=0)
    assert sum(mixture.sampling_ratio(name) for name in WEIGHTS) == pytest.approx(1)
    assert mixture.sampling_ratio("detection") == pytest.approx(3 / 4.5)
    assert mixture.scale("captions") == 2


def test_frequencies_are_the_ratios() -> None:
    mixture = Mixture(make_streams(WEIGHTS), seed=1)
    drawn = Counter(mixture.stream_at(step) for step in range(4000))
    for name in WEIGHTS:
        ratio = mixture.sampling_ratio(name)
        assert drawn[name] / 4000 == pytest.approx(ratio, abs=4 * (ratio * (1 - ratio) / 4000) ** 0.5)


def test_successive_draws_are_independent() -> None:
    """The stream after a given stream is distributed like any other."""
    mixture = Mixture(make_streams({"a": 1.0, "b": 1.0}), seed=2)
    names = [mixture.stream_at(step) for step in range(4000)]
    after_a = [y for x, y in pairwise(names) if x == "a"]
    assert after_a.count("a") / len(after_a) == pytest.approx(0.5, abs=0.045)


def test_the_draw_is_a_pure_function_of_seed_and_step() -> None:
    """Another object, streams in another order, steps in another order: the same draws."""
    first = Mixture(make_streams(WEIGHTS), seed=7)
    second = Mixture(make_streams(dict(reversed(WEIGHTS.items()))), seed=7)
    forward = [first.stream_at(step) for step in range(50)]
    backward = [second.stream_at(step) for step in reversed(range(50))]
    assert forward == backward[::-1]
    other = Mixture(make_streams(WEIGHTS), seed=8)
    assert forward != [other.stream_at(step) for step in range(50)]


def test_one_stream_is_always_drawn() -> None:
    mixture = Mixture(make_streams({"only": 0.3}), seed=0)
    assert {mixture.stream_at(step) for step in range(20)} == {"only"}
    assert mixture.sampling_ratio("only") == 1


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="at least one stream"):
        Mixture({}, seed=0)
    with pytest.raises(ValueError, match="negative"):
        Mixture(make_streams(WEIGHTS), seed=-1)
    with pytest.raises(ValueError, match="no stream 'vqa' in the mixture: it has captions, detection, names"):
        Mixture(make_streams(WEIGHTS), seed=0).scale("vqa")
