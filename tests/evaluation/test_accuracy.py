from __future__ import annotations

import numpy as np
import pytest

from uniperceiver.evaluation.accuracy import accuracy_by_target, constant_accuracy, most_frequent, top_k_accuracy


def test_top_k_counts_targets_among_the_first_k() -> None:
    ranked = [np.array([2, 0, 1]), np.array([1, 2, 0]), np.array([0, 1, 2]), np.array([0, 2, 1])]
    assert top_k_accuracy(ranked, [2, 2, 2, 0], 1) == 0.5
    assert top_k_accuracy(ranked, [2, 2, 2, 0], 2) == 0.75
    assert top_k_accuracy(ranked, [2, 2, 2, 0], 5) == 1.0  # fewer classes than k


def test_words_are_ranked_like_labels() -> None:
    assert top_k_accuracy([("cat", "dog"), ("dog", "cat")], ["dog", "dog"], 1) == 0.5


def test_constant_answer_is_the_most_frequent() -> None:
    targets = ["a", "b", "b", "c", "b"]
    assert constant_accuracy(targets, 1) == 0.6
    assert constant_accuracy(targets, 2) == 0.8


def test_equally_frequent_answers_keep_their_order() -> None:
    assert most_frequent(["b", "a", "a", "b", "c"], 2) == ["b", "a"]


def test_nothing_to_count_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        top_k_accuracy([], [], 1)
    with pytest.raises(ValueError, match="1 rankings and 2 targets"):
        top_k_accuracy([[0]], [0, 1], 1)


def test_accuracy_by_target() -> None:
    assert accuracy_by_target([1, 0, 1, 2], [2, 0, 1, 2]) == {0: 1, 1: 1, 2: 0.5}
    assert accuracy_by_target([], []) == {}
