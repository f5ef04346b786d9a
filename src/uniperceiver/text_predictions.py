"""What flows out of tasks on texts alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TextClassification:
    """Class probabilities of one text, or of two that belong together."""

    words: tuple[str, ...]
    """The word of each class, in the order of the classes."""
    probabilities: np.ndarray
    """(Y,) float64, in the same order; they add up to one."""


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
