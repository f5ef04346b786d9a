"""Top-k accuracy of ranked answers, and what a constant answer would reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np


def top_k_accuracy(ranked: Sequence[Sequence[Any] | np.ndarray], targets: Sequence[Any], k: int) -> float:
    """Share of the items, in [0, 1], whose target is among the first ``k`` of the ranked answers.

    Args:
        ranked: per item the answers, most likely first; there may be fewer than ``k``.
        targets: per item the right answer (class index or word).

    Raises:
        ValueError: no items, or not one ranking per target.
    """
    _check(ranked, targets)
    return sum(target in list(answers[:k]) for answers, target in zip(ranked, targets, strict=True)) / len(targets)


def accuracy_by_target(answers: Sequence[Any], targets: Sequence[int]) -> dict[int, float]:
    """Target → share, in [0, 1], of its items that got the right answer; targets in rising order."""
    counts = Counter(targets)
    hits = Counter(target for answer, target in zip(answers, targets, strict=True) if answer == target)
    return {target: hits[target] / counts[target] for target in sorted(counts)}


def most_frequent(answers: Sequence[Hashable], k: int) -> list[Hashable]:
    """The ``k`` most frequent answers; of equally frequent ones those that come first."""
    return [answer for answer, _ in Counter(answers).most_common(k)]


def constant_accuracy(targets: Sequence[Hashable], k: int) -> float:
    """Top-k accuracy of the most frequent targets, in this order for every item: no constant ranking does better."""
    constant = most_frequent(targets, k)
    return top_k_accuracy([constant] * len(targets), targets, k)


def _check(ranked: Sequence[Any], targets: Sequence[Any]) -> None:
    if len(targets) == 0:
        raise ValueError("accuracy needs at least one item, got none: is the evaluation data empty?")
    if len(ranked) != len(targets):
        raise ValueError(f"expected one ranking per target, got {len(ranked)} rankings and {len(targets)} targets")
