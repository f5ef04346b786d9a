"""Whether objects are found, and whether those that are found get their name: apart from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.accuracy import constant_accuracy
from uniperceiver.evaluation.compressed_detection import CompressedDetection

LOCATED_IOU = 0.5


class _Located(NamedTuple):
    """Annotated objects that a detection overlaps."""

    objects: int
    """Annotated objects, located or not, without crowds."""
    truth: np.ndarray
    """(n,) labels of the located ones."""
    given: np.ndarray
    """(n,) labels of the best-scored detection of each."""


def naming(detections: Mapping[str, CompressedDetection], references: Sequence[ObjectReference]) -> dict[str, float]:
    """``located``: share of the annotated objects that any box overlaps with IoU 0.5 or more. ``named``: of these, the
    share whose best-scored such box has the right label. In [0, 1]; nan where there is nothing to count.

    Box AP mixes the two; for objects of names that training never saw they differ much.
    """
    found = _located(detections, references)
    return {
        "located": len(found.truth) / found.objects if found.objects else float("nan"),
        "named": float((found.truth == found.given).mean()) if len(found.truth) else float("nan"),
    }


def naming_baseline(
    detections: Mapping[str, CompressedDetection], references: Sequence[ObjectReference]
) -> dict[str, float]:
    """The same for ``detections`` that never look; ``named`` is then the best constant name of annotated objects."""
    labels = np.concatenate([reference.labels[~reference.is_crowd] for reference in references]).tolist()
    constant = constant_accuracy(labels, 1) if labels else float("nan")
    return {"located": naming(detections, references)["located"], "named": constant}


def _located(detections: Mapping[str, CompressedDetection], references: Sequence[ObjectReference]) -> _Located:
    objects, truth, given = 0, [], []
    for reference in references:
        detection = detections[reference.image_id]
        is_object = ~reference.is_crowd
        boxes, labels = reference.boxes[is_object], reference.labels[is_object]
        objects += len(boxes)
        overlaps = pairwise_iou(detection.boxes, boxes) >= LOCATED_IOU
        scores = np.where(overlaps, detection.scores[:, None], -np.inf)
        for column in np.flatnonzero(overlaps.any(axis=0)):
            truth.append(labels[column])
            given.append(detection.labels[scores[:, column].argmax()])
    return _Located(objects, np.array(truth, dtype=np.int64), np.array(given, dtype=np.int64))


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (n, m) of boxes (n, 4) and (m, 4), (x0, y0, x1, y1); 0 of empty ones."""
    corners = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = corners.clip(min=0).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
