"""Detections shown beside the annotated objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from uniperceiver.data.records import AnnotatedImage
from uniperceiver.evaluation.examples import Example, counted, panel, picture_of
from uniperceiver.evaluation.naming import pairwise_iou
from uniperceiver.predictions import Detection
from uniperceiver.render import draw_detection

DRAWN_SCORE = 0.3
"""Objects with at least this score are drawn."""
FOUND_IOU = 0.5
"""An annotated object is found by a box of its name that overlaps it this much."""


@dataclass(frozen=True)
class DetectionView:
    """Drawn boxes and masks beside the annotated ones."""

    record: AnnotatedImage
    prediction: Detection
    names: Sequence[str]

    @property
    def key(self) -> str:
        """Of the picture."""
        return self.record.image_id

    @property
    def is_right(self) -> None:
        """Objects are found or not, pictures are not."""
        return None

    def example(self) -> Example:
        """Two pictures: what people drew and what the model drew; boxes alone where people drew no masks."""
        annotated, found = _annotated(self.record, self.names), self._drawn()
        if annotated.masks is None:
            found = replace(found, masks=None, mask_scores=None)  # nobody has taught the model what to draw
        picture = picture_of(self.record.image)
        size = (picture.height, picture.width)
        ours = draw_detection(picture, _resized(found, self.record.original_size, size))
        seen = (self.record.image.shape[1], self.record.image.shape[2])
        theirs = draw_detection(picture, _resized(annotated, seen, size), show_scores=False)
        pixels = np.array(self.record.original_size[::-1] * 2) / np.array(seen[::-1] * 2)
        hits = matched(found, annotated.boxes * pixels, annotated.labels)
        crowds = int(self.record.is_crowd.sum())
        return Example(
            heading=f"Picture {self.record.image_id}",
            is_right=None,
            facts=(
                ("found", f"{hits} of {len(annotated.labels)} annotated objects"),
                ("drawn", self._account(len(found.labels), hits)),
                *([("crowds", f"{crowds} annotated regions not shown")] if crowds else []),
            ),
            panels=(
                panel(theirs, f"Annotated: {counted(annotated.names)}.", "annotated"),
                panel(ours, f"Predicted: {counted(found.names)}.", "predicted, scores in percent"),
            ),
        )

    def _drawn(self) -> Detection:
        """The objects that reach `DRAWN_SCORE`, or else the best one, so that something can be judged."""
        best = self.prediction.scores.max(initial=0.0)
        return self.prediction.at_least(min(DRAWN_SCORE, best))

    def _account(self, drawn: int, hits: int) -> str:
        if drawn and self.prediction.scores.max() < DRAWN_SCORE:
            return f"no score reaches {100 * DRAWN_SCORE:.0f} %, so the best alone is drawn"
        return f"{drawn} objects with a score of {100 * DRAWN_SCORE:.0f} % or more, {drawn - hits} of them false"


def matched(found: Detection, boxes: np.ndarray, labels: np.ndarray) -> int:
    """How many annotated boxes (n, 4) of labels (n,) are found, each by one detection, best detections first."""
    if not len(boxes) or not len(found.boxes):
        return 0
    overlaps = np.where(found.labels[:, None] == labels[None], pairwise_iou(found.boxes, boxes), 0)
    hits = 0
    for row in np.argsort(-found.scores, kind="stable"):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= FOUND_IOU:
            overlaps[:, best] = 0
            hits += 1
    return hits


def _annotated(record: AnnotatedImage, names: Sequence[str]) -> Detection:
    """The annotated objects but crowds, in pixels of the record's image, as if they had been detected."""
    is_object = ~record.is_crowd
    labels = record.labels[is_object].numpy()
    return Detection(
        boxes=record.boxes[is_object].double().numpy(),
        scores=np.ones(len(labels)),
        labels=labels,
        names=tuple(names[label] for label in labels),
        masks=record.masks[is_object].numpy() if bool(record.has_mask[is_object].all()) else None,
        mask_scores=None,
    )


def _resized(detection: Detection, old: tuple[int, int], new: tuple[int, int]) -> Detection:
    """A detection in a picture of (H, W) ``old`` for that picture in the size (H, W) ``new``."""
    scale = np.array([new[1] / old[1], new[0] / old[0]] * 2)
    masks = detection.masks
    if masks is not None:
        rows, columns = (np.arange(n) * masks.shape[axis] // n for axis, n in ((1, new[0]), (2, new[1])))
        masks = masks[:, rows][:, :, columns]
    return Detection(
        detection.boxes * scale, detection.scores, detection.labels, detection.names, masks, detection.mask_scores
    )
