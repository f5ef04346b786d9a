"""What flows out: one small typed object per prediction, in units of the caller's picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Classification:
    """Class probabilities of one picture."""

    labels: np.ndarray
    """(k,) int64, indices into the candidate names, most likely first."""
    names: tuple[str, ...]
    """The k names in the same order."""
    probabilities: np.ndarray
    """(k,) float64, of all candidates: they add up to one over the whole candidate set."""


@dataclass(frozen=True)
class Detection:
    """The objects of one picture, best first. One region may appear under several names."""

    boxes: np.ndarray
    """(n, 4) float64, (x0, y0, x1, y1) in pixels of the original picture."""
    scores: np.ndarray
    """(n,) float64 in [0, 1]: objectness times class probability (A19)."""
    labels: np.ndarray
    """(n,) int64, indices into the candidate names."""
    names: tuple[str, ...]
    """(n) names."""
    masks: np.ndarray | None
    """(n, H, W) bool in the original picture's size."""
    mask_scores: np.ndarray | None
    """(n,) float64 in [0, 1]: mean probability inside the mask (spec/mask_dino.md, section 8); mask AP ranks by
    ``scores * mask_scores``."""


@dataclass(frozen=True)
class Caption:
    """A sentence about one picture."""

    text: str
    log_probability: float
    """Sum over its words, end included."""


@dataclass(frozen=True)
class Answer:
    """Answers to one question, most likely first."""

    answers: tuple[str, ...]
    probabilities: np.ndarray
    """(k,) float64."""


@dataclass(frozen=True)
class FilledMask:
    """The words for one slot of a text, most likely first."""

    words: tuple[str, ...]
    probabilities: np.ndarray
    """(k,) float64."""


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors of one picture and of its captions: their dot product is the cosine of Eq. (6)."""

    image: np.ndarray
    """(D,) float32."""
    texts: np.ndarray
    """(n, D) float32."""


Prediction = Classification | Detection | Caption | Answer | list[FilledMask] | Embeddings
