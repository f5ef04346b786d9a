"""Detections kept until a whole data set has been looked at, in little memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from uniperceiver.evaluation.coco_backends import mask_codec
from uniperceiver.predictions import Detection

DETECTIONS_PER_IMAGE = 100


@dataclass(frozen=True)
class CompressedDetection:
    """A `Detection` with run-length masks: those of 5,000 pictures fit into memory."""

    boxes: np.ndarray
    """(n, 4) float64, (x0, y0, x1, y1) in pixels."""
    scores: np.ndarray
    """(n,)."""
    labels: np.ndarray
    """(n,) int64."""
    masks: list[dict[str, Any]] | None
    """COCO RLE of each mask."""
    mask_scores: np.ndarray | None
    """(n,)."""
    objectness: np.ndarray | None = None
    """(n,)."""


def compress(detection: Detection) -> CompressedDetection:
    """The `DETECTIONS_PER_IMAGE` best-scored objects, best first.

    Raises:
        ModuleNotFoundError: there are masks, and the extra ``coco`` is not installed.
    """
    order = np.argsort(-detection.scores, kind="stable")[:DETECTIONS_PER_IMAGE]
    return CompressedDetection(
        boxes=detection.boxes[order],
        scores=detection.scores[order],
        labels=detection.labels[order],
        masks=None if detection.masks is None else _encode(detection.masks[order]),
        mask_scores=None if detection.mask_scores is None else detection.mask_scores[order],
        objectness=None if detection.objectness is None else detection.objectness[order],
    )


def distinct_regions(detection: CompressedDetection) -> CompressedDetection:
    """The best-scored detection of every distinct box, scored by its objectness where that is known."""
    order = np.argsort(-detection.scores, kind="stable")
    _, first = np.unique(detection.boxes[order], axis=0, return_index=True)
    index = order[np.sort(first)]
    return CompressedDetection(
        boxes=detection.boxes[index],
        scores=(detection.scores if detection.objectness is None else detection.objectness)[index],
        labels=detection.labels[index],
        masks=None if detection.masks is None else [detection.masks[i] for i in index.tolist()],
        mask_scores=None if detection.mask_scores is None else detection.mask_scores[index],
    )


def boxes_as_masks(boxes: np.ndarray, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Boxes (n, 4), (x0, y0, x1, y1) in pixels of a picture (H, W), filled: COCO RLE of each."""
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return mask_codec().frPyObjects(sides, *size) if len(sides) else []


def _encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """(n, H, W) bool as COCO RLE."""
    encode = mask_codec().encode
    return [encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
