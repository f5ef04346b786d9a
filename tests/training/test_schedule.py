"""The learning rate over time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from uniperceiver.config import ScheduleConfig
from uniperceiver.training.schedule import learning_rate_factor, set_learning_rates, training_progress


def factor(config: ScheduleConfig, step: int) -> float:
    return learning_rate_factor(config, step, training_progress(config, step, seconds=0))


def test_the_papers_schedule() -> None:
    """Sec. 5.2: 200,000 iterations, 0.1 × at 160,000."""
    config = ScheduleConfig(steps=200_000, milestones=(0.8,))
    assert factor(config, 0) == factor(config, 159_999) == 1
    assert factor(config, 160_000) == factor(config, 199_999) == pytest.approx(0.1)


def test_every_milestone_counts() -> None:
    config = ScheduleConfig(steps=10, milestones=(0.5, 0.8))
    assert [factor(config, step) for step in (4, 5, 7, 8)] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_warm_up_is_linear_and_never_zero() -> None:
    config = ScheduleConfig(steps=100, warmup_steps=4)
    assert [factor(config, step) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_cosine_after_a_constant_part() -> None:
    config = ScheduleConfig(steps=100, decay="cosine", constant=0.3, final=0.02)
    assert factor(config, 0) == factor(config, 30) == 1
    assert factor(config, 65) == pytest.approx(0.51)
    assert factor(config, 100) == pytest.approx(0.02)
    values = [factor(config, step) for step in range(30, 101)]
    assert values == sorted(values, reverse=True)


def test_a_cosine_that_begins_where_the_warm_up_ends() -> None:
    config = ScheduleConfig(steps=50, warmup_steps=10, decay="cosine", constant="warmup", final=0.02)
    assert factor(config, 0) == pytest.approx(0.1)
    assert factor(config, 9) == factor(config, 10) == 1
    assert factor(config, 30) == pytest.approx(0.51)
    assert factor(config, 50) == pytest.approx(0.02)
    assert factor(replace(config, steps=10), 10) == 1


def test_a_cosine_that_never_begins() -> None:
    config = ScheduleConfig(steps=10, decay="cosine", constant=1.0)
    assert [factor(config, step) for step in (0, 9, 10, 12)] == [1, 1, 1, 1]


def test_after_the_end_it_stays_at_the_end() -> None:
    config = ScheduleConfig(steps=10, decay="cosine", final=0.1)
    assert factor(config, 15) == pytest.approx(0.1)


def test_progress_by_steps_or_by_the_clock() -> None:
    by_steps, by_clock = ScheduleConfig(steps=10), ScheduleConfig(steps=10, minutes=2.0)
    assert training_progress(by_steps, 5, seconds=1e9) == 0.5
    assert training_progress(by_clock, 10**6, seconds=30) == 0.25


def test_rates_are_the_initial_ones_times_the_factor() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(2))], "lr": rate, "initial_lr": rate} for rate in (0.5, 0.02)]
    optimizer = torch.optim.AdamW(groups)
    for value in (0.1, 0.4):
        set_learning_rates(optimizer, value)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5 * value, 0.02 * value])
