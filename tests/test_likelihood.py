"""Eq. (5), (6) and the bracket of (7)."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from uniperceiver.likelihood import (
    log_likelihood,
    log_likelihood_of_units,
    most_likely,
    negative_log_likelihood,
    similarity,
    unit_vectors,
)


def test_equation_5_picks_the_candidate_of_maximum_likelihood() -> None:
    y = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    x = torch.tensor([[[3.0, 1.0], [0.1, 0.2]], [[-2.0, 0.5], [9.0, 9.5]]])
    assert most_likely(x, y).tolist() == [[0, 1], [2, 1]]
    assert torch.equal(most_likely(x, y), log_likelihood(x, y, 0.03).argmax(-1))


def test_equation_6_is_cosine_over_temperature() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 3, 8, generator=generator), torch.randn(5, 8, generator=generator)
    cosine = F.cosine_similarity(x[:, :, None], y, dim=-1)
    torch.testing.assert_close(similarity(x, y, 0.07), cosine / 0.07)
    torch.testing.assert_close(log_likelihood(x, y, torch.tensor(0.07)).exp(), (cosine / 0.07).softmax(-1))


def test_equation_6_does_not_depend_on_lengths() -> None:
    x, y = torch.randn(4, 8), torch.randn(5, 8)
    torch.testing.assert_close(similarity(1000 * x, 0.01 * y, 0.1), similarity(x, y, 0.1))


def test_equation_7_bracket_is_cross_entropy_per_item() -> None:
    x, y = torch.randn(4, 3, 8), torch.randn(5, 8)
    target = torch.randint(5, (4, 3))
    expected = F.cross_entropy(similarity(x, y, 0.1).flatten(0, 1), target.flatten(), reduction="none").view(4, 3)
    torch.testing.assert_close(negative_log_likelihood(x, y, 0.1, target), expected)


def test_a_single_candidate_is_certain() -> None:
    x, y = torch.randn(3, 8), torch.randn(1, 8)
    assert torch.equal(negative_log_likelihood(x, y, 0.01, torch.zeros(3, dtype=torch.int64)), torch.zeros(3))


def test_no_items_give_no_losses() -> None:
    loss = negative_log_likelihood(torch.randn(0, 8), torch.randn(5, 8), 0.1, torch.zeros(0, dtype=torch.int64))
    assert loss.shape == (0,)


def test_zero_vectors_give_neither_nan_nor_infinity() -> None:
    x = torch.zeros(2, 8, requires_grad=True)
    y = torch.cat([torch.zeros(1, 8), torch.randn(3, 8)]).requires_grad_()
    loss = negative_log_likelihood(x, y, 0.01, torch.tensor([0, 2]))
    torch.testing.assert_close(loss, torch.full((2,), math.log(4)))
    loss.sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.isfinite().all()
    assert y.grad.isfinite().all()


def test_float32_under_autocast_and_for_half_precision() -> None:
    x, y = torch.randn(4, 64), torch.randn(5, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = similarity(x, y, 0.01)
    assert torch.equal(inside, similarity(x, y, 0.01))
    assert similarity(x.bfloat16(), y.bfloat16(), 0.01).dtype == torch.float32


def test_gradients_reach_both_sides_and_the_temperature() -> None:
    x, y = (torch.randn(n, 6, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda *a: negative_log_likelihood(*a, target), (x, y, temperature))


@pytest.mark.parametrize("shape", [(0, 8), (5, 7), (8,)])
def test_unfit_candidates_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        similarity(torch.randn(2, 8), torch.randn(shape), 0.1)


def test_candidates_at_unit_length_give_the_same() -> None:
    x, y = torch.randn(2, 3, 8), torch.randn(5, 8)
    torch.testing.assert_close(log_likelihood_of_units(x, unit_vectors(y), 0.07), log_likelihood(x, y, 0.07))
    with torch.autocast("cpu"):
        assert log_likelihood_of_units(x.bfloat16(), unit_vectors(y), 0.07).dtype == torch.float32


def test_label_smoothing_is_that_of_cross_entropy() -> None:
    torch.manual_seed(0)
    x, y, target = torch.randn(5, 8), torch.randn(7, 8), torch.randint(7, (5,))
    smoothed = negative_log_likelihood(x, y, 0.1, target, label_smoothing=0.2)
    expected = F.cross_entropy(log_likelihood(x, y, 0.1), target, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(smoothed, expected)
