"""What evaluation keeps of texts predicted word by word: perplexity and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from uniperceiver.evaluation.accuracy import constant_accuracy, top_k_accuracy
from uniperceiver.evaluation.scoring import EvaluationResult
from uniperceiver.text_predictions import PredictedWords


class NextWordScorer:
    """Geometric mean of the words' probabilities, and how often the right word is among the most likely."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.guesses: list[tuple[str, ...]] = []
        self.log_probabilities: list[np.ndarray] = []

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[PredictedWords]) -> None:
        """Keep every word, how likely it was, and what was more likely."""
        for prediction in predictions:
            self.words += prediction.words
            self.guesses += prediction.guesses
            self.log_probabilities.append(prediction.log_probabilities)

    def result(self) -> EvaluationResult:
        """Likelihood, top-1 and top-5; the baseline knows how frequent each token is."""
        mean = float(np.concatenate(self.log_probabilities).mean())
        frequencies = np.unique(self.words, return_counts=True)[1] / len(self.words)
        entropy = -float((frequencies * np.log(frequencies)).sum())
        tops = (1, 5)
        return EvaluationResult(
            metrics={"likelihood": math.exp(mean)}
            | {f"top{k}": top_k_accuracy(self.guesses, self.words, k) for k in tops},
            baselines={"likelihood": math.exp(-entropy)} | {f"top{k}": constant_accuracy(self.words, k) for k in tops},
            main="likelihood",
            count=len(self.words),
            unit="tokens",
            protocol=f"Every token and the end of every text, predicted from those before it. likelihood: geometric "
            f"mean of their probabilities, the inverse of the perplexity, which is {math.exp(-mean):.1f}. Tokens "
            "outside the vocabulary are left out. Baseline: the frequencies of the tokens of these texts.",
        )
