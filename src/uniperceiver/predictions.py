"""What flows out: one small typed object per prediction, in units of the caller's picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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

    def to_json(self) -> dict[str, Any]:
        """Names and probabilities as plain data."""
        return {"names": list(self.names), "probabilities": self.probabilities.tolist()}


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

    def objects(self) -> Iterator[tuple[np.ndarray, str, float]]:
        """(box, name, score) of every object, best first."""
        return zip(self.boxes, self.names, self.scores.tolist(), strict=True)

    def at_least(self, score: float) -> Detection:
        """Only the objects with this score or more."""
        kept = np.flatnonzero(self.scores >= score)
        return Detection(
            boxes=self.boxes[kept],
            scores=self.scores[kept],
            labels=self.labels[kept],
            names=tuple(self.names[i] for i in kept),
            masks=None if self.masks is None else self.masks[kept],
            mask_scores=None if self.mask_scores is None else self.mask_scores[kept],
        )

    def to_json(self) -> dict[str, Any]:
        """Objects as plain data: boxes (x0, y0, x1, y1) in pixels, masks as COCO's uncompressed run lengths."""
        objects = [
            {"box": np.round(box, 2).tolist(), "name": name, "score": score} for box, name, score in self.objects()
        ]
        if self.masks is not None:
            for entry, mask in zip(objects, self.masks, strict=True):
                entry["segmentation"] = {"size": list(mask.shape), "counts": run_lengths(mask)}
        return {"objects": objects}


@dataclass(frozen=True)
class Caption:
    """A sentence about one picture."""

    text: str
    log_probability: float
    """Sum over its words, end included."""

    def to_json(self) -> dict[str, Any]:
        """The sentence and its log-probability as plain data."""
        return {"caption": self.text, "log_probability": self.log_probability}


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


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run-length code of a mask (H, W): lengths of runs down the columns, the first of zeros."""
    values = np.asarray(mask, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff(np.concatenate([[0], changes, [values.size]])).tolist()
    return [0, *lengths] if values.size and values[0] else lengths
