"""What evaluation keeps of classified texts, and GLUE's metrics of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from uniperceiver.data.records import LabelledText
from uniperceiver.evaluation.accuracy import accuracy_by_target
from uniperceiver.evaluation.glue_metrics import accuracy, f1, macro_f1, matthews, pearson, spearman
from uniperceiver.evaluation.scoring import EvaluationResult
from uniperceiver.tasks.glue import Metric
from uniperceiver.text_predictions import TextClassification

OF_CLASSES: dict[Metric, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "matthews": matthews,
}
OF_GRADES: dict[Metric, Callable[[np.ndarray, np.ndarray], float]] = {"pearson": pearson, "spearman": spearman}


class TextClassificationScorer:
    """The metrics that a task has in GLUE."""

    def __init__(self, names: Sequence[str], metrics: Sequence[Metric], positive: int) -> None:
        """Start empty.

        Args:
            names: of the classes, in the order of the labels.
            metrics: what to compute, the main one first.
            positive: the class whose F1 is meant.
        """
        self.names = names
        self.metrics = metrics
        self.positive = positive
        self.probabilities: list[np.ndarray] = []
        self.labels: list[float] = []

    def add(self, records: Sequence[LabelledText], batch: Any, predictions: Sequence[TextClassification]) -> None:
        """Keep probabilities and labels."""
        self.probabilities += [prediction.probabilities for prediction in predictions]
        self.labels += [record.label for record in records]

    def result(self) -> EvaluationResult:
        """The metrics; the baseline gives one class to every text, the best one for each metric."""
        probabilities, labels = np.stack(self.probabilities), np.array(self.labels)
        chosen, classes = probabilities.argmax(axis=1), labels.round().astype(int)
        grades = probabilities @ np.arange(len(self.names))
        is_graded = self.metrics[0] in OF_GRADES
        per_class = {} if is_graded else accuracy_by_target(chosen.tolist(), classes.tolist())
        return EvaluationResult(
            metrics={
                name: OF_GRADES[name](grades, labels) if name in OF_GRADES else self._measure(name, chosen, classes)
                for name in self.metrics
            },
            baselines={name: self._baseline(name, classes) for name in self.metrics},
            main=self.metrics[0],
            count=len(labels),
            unit="texts",
            protocol=_GRADED if is_graded else _CLASSED,
            per_class={self.names[label]: share for label, share in per_class.items()},
            per_class_metric="" if is_graded else "accuracy",
        )

    def _measure(self, metric: Metric, chosen: np.ndarray, classes: np.ndarray) -> float:
        if metric in OF_CLASSES:
            return OF_CLASSES[metric](chosen, classes)
        return f1(chosen, classes, self.positive)

    def _baseline(self, metric: Metric, classes: np.ndarray) -> float:
        if metric in OF_GRADES:
            return 0.0
        constants = {int(np.bincount(classes).argmax()), self.positive}
        return max(self._measure(metric, np.full_like(classes, constant), classes) for constant in constants)


_CLASSED = (
    "The class of the most likely word. f1 is that of the positive class, macro_f1 the mean over classes, matthews "
    "Matthews' correlation from -1 to 1. Baseline: one class for every text, the best one for each metric."
)
_GRADED = (
    "Correlations, from -1 to 1, of the probability of the second word with the annotated similarity. Baseline: one "
    "similarity for every pair."
)
