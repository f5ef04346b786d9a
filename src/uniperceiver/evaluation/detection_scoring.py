"""The scorer of detections: COCO's average precision, and the names of what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.average_precision import Region, average_precision
from uniperceiver.evaluation.compressed_detection import (
    DETECTIONS_PER_IMAGE,
    CompressedDetection,
    boxes_as_masks,
    compress,
)
from uniperceiver.evaluation.naming import naming, naming_baseline
from uniperceiver.evaluation.scoring import EvaluationResult
from uniperceiver.predictions import Detection

_PROTOCOL = (
    "COCO evaluation, at most 100 objects per image, crowds ignored, sizes by annotated area.{masks} agnostic_…: "
    "whatever the class. located: annotated objects that a box overlaps with IoU 0.5 or more; named: of these, the "
    "share whose best-scored such box has the right class. Baseline: the mean box of every class of the training data, "
    "filled, scored by its frequency; for named, the most frequent class of the annotated objects."
)


class DetectionScorer:
    """COCO box AP, and mask AP of the images all of whose objects have a mask."""

    def __init__(self, data: AnnotatedData, training: AnnotatedData | None = None) -> None:
        """``training`` gives the boxes of the trivial baseline; None: ``data`` itself, which flatters it."""
        self.data = data
        self.training = data if training is None else training
        self.detections: dict[str, CompressedDetection] = {}
        self.references: list[ObjectReference] = []

    def add(self, records: Sequence[Any], batch: Any, predictions: Sequence[Detection]) -> None:
        """Keep boxes and run-length masks."""
        for record, prediction in zip(records, predictions, strict=True):
            self.references.append(self.data.reference(record))
            self.detections[record.image_id] = compress(prediction)

    def result(self) -> EvaluationResult:
        """Box AP, mask AP where there are masks, both also without regard to the class; names of found objects."""
        constant = mean_boxes(self.training.objects(), self.references)
        named = average_precision(self.detections, self.references, "box")
        masked = self._masked()
        return EvaluationResult(
            metrics=self._metrics(self.detections, masked) | naming(self.detections, self.references),
            baselines=self._metrics(constant, masked) | naming_baseline(constant, self.references),
            main="box_ap",
            count=len(self.references),
            unit="images",
            protocol=_PROTOCOL.format(masks=self._account(masked)),
            per_class={self.data.names[label]: ap for label, ap in named.ap50_of_class.items()},
            per_class_metric="box_ap50",
        )

    def _masked(self) -> list[ObjectReference]:
        """What mask AP is computed on: images all of whose objects have a mask; none without any mask."""
        if any(detection.masks is None for detection in self.detections.values()):
            return []
        masked = [reference for reference in self.references if reference.has_masks]
        return masked if any(len(reference.masks) for reference in masked) else []

    def _account(self, masked: Sequence[ObjectReference]) -> str:
        """What the protocol says of masks."""
        if not masked:
            return ""
        others = len(self.references) - len(masked)
        only = f" of the {len(masked)} images without objects that lack one" if others else ""
        return f" Masks{only} ranked by score times mask score."

    def _metrics(
        self, detections: Mapping[str, CompressedDetection], masked: Sequence[ObjectReference]
    ) -> dict[str, float]:
        """AP of boxes, and of masks where there are some, with and without regard to the class."""
        compared: list[tuple[Region, Sequence[ObjectReference]]] = [("box", self.references)]
        if masked:
            compared.append(("mask", masked))
        metrics: dict[str, float] = {}
        for is_agnostic, prefix in ((False, ""), (True, "agnostic_")):
            for region, references in compared:
                own = {reference.image_id: detections[reference.image_id] for reference in references}
                scores = average_precision(own, references, region, class_agnostic=is_agnostic)
                metrics |= scores.named(prefix + region)
        return metrics


class AnnotatedData(Protocol):
    """A data set of annotated images."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        ...

    def reference(self, record: Any) -> ObjectReference:
        """What was annotated of a record."""
        ...

    def objects(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Relative boxes (n, 4) and labels (n,) of every image, without crowds."""
        ...


def mean_boxes(
    objects: Iterable[tuple[np.ndarray, np.ndarray]], references: Sequence[ObjectReference]
) -> dict[str, CompressedDetection]:
    """The detections of one who never looks: the mean box of each class in every image, scored by its frequency.

    ``objects`` are relative boxes (n, 4) and labels (n,) of images, those of the training data. The most frequent
    classes come first. A mask fills its box.
    """
    rows = list(objects)
    boxes, labels = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
    classes, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:DETECTIONS_PER_IMAGE]
    means = np.array([boxes[labels == label].mean(axis=0) for label in classes[order]]).reshape(-1, 4)
    scores = counts[order] / max(1, len(labels))
    found: dict[str, CompressedDetection] = {}
    for reference in references:
        inside = means * _scale(reference)
        filled = boxes_as_masks(inside, reference.size)
        found[reference.image_id] = CompressedDetection(inside, scores, classes[order], filled, np.ones(len(scores)))
    return found


def _scale(reference: ObjectReference) -> np.ndarray:
    """What relative corners (x0, y0, x1, y1) are multiplied by to be in pixels."""
    height, width = reference.size
    return np.array([width, height, width, height], dtype=np.float64)
