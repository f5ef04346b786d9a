"""GLUE's metrics equal scikit-learn's and SciPy's, and hold at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from uniperceiver.evaluation.glue_metrics import accuracy, f1, macro_f1, matthews, pearson, spearman

RANDOM = np.random.default_rng(0)


def confusion(predicted: np.ndarray, labels: np.ndarray) -> tuple[int, int, int, int]:
    """True and false positives, false and true negatives."""
    pairs = list(zip(predicted.tolist(), labels.tolist(), strict=True))
    return tuple(pairs.count(pair) for pair in ((1, 1), (1, 0), (0, 1), (0, 0)))


@pytest.mark.parametrize("seed", range(5))
def test_two_classes_by_their_confusion_matrix(seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted, labels = random.integers(0, 2, 40), random.integers(0, 2, 40)
    tp, fp, fn, tn = confusion(predicted, labels)
    assert accuracy(predicted, labels) == pytest.approx((tp + tn) / 40)
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    assert f1(predicted, labels, 1) == pytest.approx(2 * precision * recall / (precision + recall))
    spread = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    assert matthews(predicted, labels) == pytest.approx((tp * tn - fp * fn) / spread)
    assert macro_f1(predicted, labels) == pytest.approx((f1(predicted, labels, 0) + f1(predicted, labels, 1)) / 2)


def test_three_classes_equal_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    predicted, labels = RANDOM.integers(0, 3, 60), RANDOM.integers(0, 3, 60)
    assert matthews(predicted, labels) == pytest.approx(sklearn.matthews_corrcoef(labels, predicted))
    assert macro_f1(predicted, labels) == pytest.approx(sklearn.f1_score(labels, predicted, average="macro"))


def test_correlations_equal_scipy_with_ties() -> None:
    x = RANDOM.normal(size=50).round(1)
    y = (x + RANDOM.normal(size=50)).round(1)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(x, x**3) == pytest.approx(1)
    assert pearson(x, -2 * x + 3) == pytest.approx(-1)


def test_constants_correlate_with_nothing() -> None:
    ones, labels = np.ones(6, dtype=int), np.array([0, 1, 1, 0, 1, 0])
    assert matthews(ones, labels) == 0
    assert pearson(np.full(6, 0.1), labels.astype(float)) == 0
    assert spearman(labels.astype(float), np.full(6, 0.1)) == 0
    assert f1(np.zeros(3, dtype=int), np.zeros(3, dtype=int), 1) == 0
    assert matthews(labels, labels) == pytest.approx(1)


def test_as_many_predictions_as_labels() -> None:
    for measure in (accuracy, matthews, pearson):
        with pytest.raises(ValueError, match="as many predictions as labels"):
            measure(np.zeros(2), np.zeros(3))
        with pytest.raises(ValueError, match="one at least"):
            measure(np.zeros(0), np.zeros(0))
