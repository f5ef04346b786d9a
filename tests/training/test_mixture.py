"""The draw of a stream per step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
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


STREAM = StreamConfig(
    TaskConfig("masked_language_modeling"), PlainTextConfig("texts.txt"), batch_size=4, sampling_weight=1.0, scale=3.0
)


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


def test_unmixed_sampling_trains_the_stream_that_is_drawn_with_its_whole_batch() -> None:
    mixture = Mixture({"a": replace(STREAM, batch_size=32), "b": STREAM}, seed=0)
    assert [mixture.streams_at(step) for step in range(20)] == [(mixture.stream_at(step),) for step in range(20)]
    assert mixture.batch_size("a") == 32
    assert mixture.loss_weight("a") == STREAM.scale


def test_mixed_sampling_trains_every_stream_with_its_share() -> None:
    """The same examples and the same weights as unmixed sampling has on average over its draws."""
    streams = {name: replace(STREAM, sampling_weight=weight, batch_size=24) for name, weight in WEIGHTS.items()}
    mixed = Mixture(streams, seed=0, sampling="mixed")
    assert mixed.streams_at(0) == mixed.streams_at(9) == tuple(sorted(WEIGHTS))
    assert {name: mixed.batch_size(name) for name in WEIGHTS} == {"detection": 16, "captions": 5, "names": 3}
    unmixed = Mixture(streams, seed=0)
    for name in WEIGHTS:
        assert mixed.loss_weight(name) == pytest.approx(unmixed.loss_weight(name) * unmixed.sampling_ratio(name))


@pytest.mark.parametrize(("batch_size", "expected"), [(1, 1), (2, 2), (5, 2), (100, 10)])
def test_a_share_of_a_batch_is_at_least_a_pair(batch_size: int, expected: int) -> None:
    rare = replace(STREAM, batch_size=batch_size, sampling_weight=0.1)
    assert Mixture({"rare": rare, "b": replace(STREAM, sampling_weight=0.9)}, 0, "mixed").batch_size("rare") == expected
