"""The moving average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from uniperceiver.training.weight_average import WeightAverage


def test_the_average_is_the_recursion() -> None:
    linear = nn.Linear(3, 2)
    linear.bias.requires_grad_(False)
    average = WeightAverage(linear, 0.5)
    assert set(average.averages()) == {"weight"}
    expected = linear.weight.detach().clone()
    for step in range(1, 20):
        with torch.no_grad():
            linear.weight.normal_()
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * linear.weight.detach()
    torch.testing.assert_close(average.averages()["weight"], expected)


def test_it_goes_on_from_what_was_kept_and_refuses_others() -> None:
    linear = nn.Linear(3, 2)
    kept = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    average = WeightAverage(linear, 0.5, kept)
    assert torch.equal(average.averages()["weight"], kept["weight"])
    average.update(1000)
    assert torch.equal(kept["weight"], torch.ones(2, 3)), "what was kept must not be written into"
    with pytest.raises(ValueError, match="other parameters"):
        WeightAverage(linear, 0.5, {"weight": torch.ones(2, 3)})
