"""What an ablation may start from, and how many steps its runs have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uniperceiver.config import ConfigError, OptimizerConfig
from uniperceiver.training.mixture import Mixture


def test_a_task_alone_gets_the_steps_it_has_in_the_joint_training(make_baseline) -> None:
    baseline = make_baseline(steps=50)
    for seed in (0, 1):
        mixture = Mixture(baseline.training.streams, seed)
        drawn = [mixture.stream_at(step) for step in range(50)]
        alone = {name: baseline.steps_of((name,), seed) for name in baseline.streams}
        assert alone == {name: drawn.count(name) for name in baseline.streams}
        assert sum(alone.values()) == baseline.steps_of(baseline.streams, seed) == 50
        rest = tuple(name for name in baseline.streams if name != "pairs")
        assert baseline.steps_of(rest, seed) == 50 - alone["pairs"]


def test_a_stream_without_a_step_is_an_error(make_baseline) -> None:
    with pytest.raises(ConfigError, match=r"of 1 steps \(seed 0\) .* gets none: raise --steps"):
        make_baseline(steps=1).steps_of(("captions", "pairs"), 0)


def test_stream_of_a_task(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    assert baseline.stream_of("retrieval") == "pairs"
    assert baseline.stream_of("detection") is None


def test_trainings_that_cannot_be_varied_are_refused(make_baseline) -> None:
    baseline = make_baseline("labels", "pairs")
    training, model = baseline.training, baseline.model
    with pytest.raises(ConfigError, match="mt_adamw"):
        replace(baseline, training=replace(training, optimizer=OptimizerConfig(name="adamw")))
    with pytest.raises(ConfigError, match="one stream of a task"):
        replace(baseline, training=replace(training, streams=training.streams | {"more": training.streams["pairs"]}))
    without_data = {"labels": replace(training.streams["labels"], evaluation=None)}
    with pytest.raises(ConfigError, match="two streams; evaluation data"):
        replace(baseline, training=replace(training, streams=without_data))
    with pytest.raises(ConfigError, match="Conditional MoE"):
        replace(baseline, model=replace(model, decoder=replace(model.decoder, moe=None)))
    with pytest.raises(ConfigError, match="global and regional"):
        replace(baseline, model=replace(model, image=replace(model.image, proposals=None)))
