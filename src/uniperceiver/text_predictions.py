"""What flows out of tasks on texts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LISTED = 5
"""Classes named to people, at most."""


@dataclass(frozen=True)
class TextClassification:
    """Class probabilities of one text, or of two that belong together."""

    words: tuple[str, ...]
    """The word of each class, in the order of the classes."""
    probabilities: np.ndarray
    """(Y,) float64, in the same order; they add up to one."""
    names: tuple[str, ...]
    """(Y) names of the classes; the words themselves where no others are known."""

    @property
    def best(self) -> str:
        """The name of the most likely class."""
        return self.names[int(self.probabilities.argmax())]

    def to_json(self) -> dict[str, Any]:
        """Names, words and probabilities as plain data."""
        return {"names": list(self.names), "words": list(self.words), "probabilities": self.probabilities.tolist()}

    def lines(self) -> list[str]:
        """The most likely classes with their probabilities in percent, for people."""
        order = np.argsort(-self.probabilities, kind="stable")[:LISTED]
        return [f"{self.names[i]} {100 * self.probabilities[i]:.1f} %" for i in order]


@dataclass(frozen=True)
class PredictedWords:
    """How well each word of a text was foreseen from those before it, and from a picture where there is one."""

    words: tuple[str, ...]
    """(n), as they stand in the text; the end is an empty word."""
    log_probabilities: np.ndarray
    """(n,) float64, of each word; their sum is the log-likelihood of the text."""
    guesses: tuple[tuple[str, ...], ...]
    """(n) the most likely words at each place, most likely first."""


@dataclass(frozen=True)
class PartnerEmbeddings:
    """Unit vectors of one text and of its partners: their dot product is the cosine of Eq. (6)."""

    text: np.ndarray
    """(D,) float32."""
    partners: np.ndarray
    """(n, D) float32."""
