"""The metrics of GLUE: accuracy, F1, Matthews' correlation, Pearson's and Spearman's."""

from __future__ import annotations

import math

import numpy as np


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Share of right classes: two (n,) of int -> [0, 1]."""
    _check(predicted, labels)
    return float((predicted == labels).mean())


def f1(predicted: np.ndarray, labels: np.ndarray, positive: int) -> float:
    """Harmonic mean of precision and recall of one class, in [0, 1]; zero where the class never occurs."""
    _check(predicted, labels)
    right = int(((predicted == positive) & (labels == positive)).sum())
    all_of_it = int((predicted == positive).sum() + (labels == positive).sum())
    return 2 * right / all_of_it if all_of_it else 0.0


def macro_f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean of `f1` over the classes that occur or were predicted."""
    _check(predicted, labels)
    return float(np.mean([f1(predicted, labels, int(c)) for c in np.union1d(predicted, labels)]))


def matthews(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Matthews' correlation coefficient, in [-1, 1], for more than two classes Gorodkin's R_K.

    It is Pearson's correlation of the classes as one-hot vectors; zero where one side knows a single class.
    """
    _check(predicted, labels)
    classes = np.union1d(predicted, labels)
    x, y = (given[:, None] == classes for given in (predicted, labels))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / spread if spread > 0 else 0.0


def pearson(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Pearson's correlation of two (n,) of float, in [-1, 1]; zero where one of them is constant."""
    _check(predicted, labels)
    x, y = predicted - predicted.mean(), labels - labels.mean()
    spread = float(np.linalg.norm(x) * np.linalg.norm(y))
    # What is constant may differ from its mean by rounding.
    if np.ptp(predicted) == 0 or np.ptp(labels) == 0 or spread == 0:
        return 0.0
    return float(np.clip(x @ y / spread, -1, 1))


def spearman(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Pearson's correlation of the ranks, equal values sharing their mean rank."""
    return pearson(_ranks(predicted), _ranks(labels))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[place]


def _check(predicted: np.ndarray, labels: np.ndarray) -> None:
    if predicted.shape != labels.shape or predicted.ndim != 1 or not len(labels):
        raise ValueError(
            f"expected as many predictions as labels, one at least, got {predicted.shape} and {labels.shape}"
        )
