"""Average precision of boxes and masks as COCO defines it, computed by hotcoco or pycocotools."""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.coco_backends import Backend, available_backend, load_backend, mask_codec
from uniperceiver.evaluation.compressed_detection import CompressedDetection, distinct_regions

Region = Literal["box", "mask"]
_STATISTICS = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's twelve numbers in [0, 1]; nan where the references have no such object (COCO prints -1)."""

    ap: float
    """Mean over classes and over IoU thresholds 0.50, 0.55, …, 0.95."""
    ap50: float
    ap75: float
    ap_small: float
    """Objects of annotated area below 32² pixels…"""
    ap_medium: float
    """…up to 96²…"""
    ap_large: float
    """…above."""
    ar1: float
    """Mean recall with one detection per class and image…"""
    ar10: float
    """…with ten…"""
    ar100: float
    """…with all."""
    ar_small: float
    ar_medium: float
    ar_large: float
    ap50_of_class: dict[int, float]
    """Class → AP50, for the classes that have references."""
    ap_of_class: dict[int, float]
    """Class → AP, for the same classes."""

    def named(self, region: str) -> dict[str, float]:
        """The twelve numbers as reports call them: ``box_ap`` and so on for the region ``box``."""
        return {f"{region}_{name}": value for name, value in asdict(self).items() if isinstance(value, float)}


def average_precision(
    detections: Mapping[str, CompressedDetection],
    references: Sequence[ObjectReference],
    region: Region,
    *,
    class_agnostic: bool = False,
    backend: Backend | None = None,
) -> AveragePrecision:
    """AP of the detections of each image (by image id) against its annotated objects.

    Boxes are ranked by ``scores``, masks by ``scores * mask_scores``. Crowds are ignored regions; sizes follow the
    annotated areas.

    Args:
        detections: one per image of ``references``, with or without objects.
        region: what is compared.
        class_agnostic: count any label as right. A region given under several names then counts once, with its
            objectness, or where that is not known with its best score.
        backend: None takes hotcoco where it is installed, else pycocotools; they give the same numbers.

    Raises:
        ValueError: missing or surplus images, repeated image ids, or masks wanted where a detection or an object has
            none.
        ModuleNotFoundError: neither backend is installed.
    """
    _check(detections, references)
    # Equal scores of different images are ranked in the order of the images. That of the official evaluation is the
    # order of numeric ids, which is this one; so the order of batches cannot matter.
    references = sorted(references, key=lambda reference: (len(reference.image_id), reference.image_id))
    coco, coco_eval = load_backend(backend or available_backend())
    with _garbage_collection_paused():
        truth, found = _annotations(detections, references, region, class_agnostic)
    images = [{"id": i, "height": r.size[0], "width": r.size[1]} for i, r in enumerate(references, start=1)]
    classes = sorted({annotation["category_id"] for annotation in truth + found})
    frame = {"images": images, "categories": [{"id": label, "name": str(label)} for label in classes]}
    evaluation = coco_eval(
        coco(frame | {"annotations": truth}),
        coco(frame | {"annotations": found}),
        "bbox" if region == "box" else "segm",
    )
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return _read(evaluation, classes)


@contextlib.contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Rows hold no cycles, and searching half a million of them for some takes longer than making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _annotations(
    detections: Mapping[str, CompressedDetection],
    references: Sequence[ObjectReference],
    region: Region,
    class_agnostic: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The annotated and the detected objects of all images as COCO's annotations; image ids count from 1."""
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image_id, reference in enumerate(references, start=1):
        # Ids start at 1: pycocotools takes a match with annotation 0 for no match.
        truth += _reference_annotations(reference, region, image_id, len(truth) + 1)
        detection = detections[reference.image_id]
        if class_agnostic:
            detection = distinct_regions(detection)
        found += _detection_annotations(detection, region, image_id, len(found) + 1)
    if class_agnostic:
        for row in truth + found:
            row["category_id"] = 0
    return truth, found


def _read(evaluation: Any, classes: list[int]) -> AveragePrecision:
    numbers = {
        name: float("nan") if value < 0 else float(value)
        for name, value in zip(_STATISTICS, evaluation.stats, strict=True)
    }
    # precision: (IoU thresholds, recall thresholds, classes, areas, detection limits)
    precision = evaluation.eval["precision"][:, :, :, 0, -1] if classes else np.zeros((1, 1, 0))
    return AveragePrecision(
        **numbers,
        ap50_of_class=_known(classes, precision[0].mean(axis=0)),
        ap_of_class=_known(classes, precision.mean(axis=(0, 1))),
    )


def _known(classes: list[int], values: np.ndarray) -> dict[int, float]:
    """Values of the classes that have references; of the others the evaluation says -1."""
    return {label: float(value) for label, value in zip(classes, values, strict=True) if value >= 0}


def _reference_annotations(
    reference: ObjectReference, region: Region, image_id: int, first_id: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "id": identity,
            "image_id": image_id,
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": area,
            "iscrowd": is_crowd,
        }
        for identity, ((x0, y0, x1, y1), label, area, is_crowd) in enumerate(
            zip(
                reference.boxes.tolist(),
                reference.labels.tolist(),
                reference.areas.astype(np.float64).tolist(),
                reference.is_crowd.astype(np.int64).tolist(),
                strict=True,
            ),
            start=first_id,
        )
    ]
    if region == "mask":
        if not reference.has_masks:
            raise ValueError(f"image {reference.image_id} has objects without a mask; use region='box'")
        for row, mask in zip(rows, reference.masks, strict=True):
            row["segmentation"] = mask
    return rows


def _detection_annotations(
    detection: CompressedDetection, region: Region, image_id: int, first_id: int
) -> list[dict[str, Any]]:
    """Detections as rows; their area, which COCO also sorts into sizes by, is that of the compared region."""
    scores = detection.scores
    if region == "mask":
        if detection.masks is None or detection.mask_scores is None:
            raise ValueError("mask average precision needs detections with masks and mask_scores; use region='box'")
        scores = scores * detection.mask_scores
    # One literal a row: this loop is half of the time of an evaluation.
    rows: list[dict[str, Any]] = [
        {
            "id": identity,
            "image_id": image_id,
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
            "score": score,
        }
        for identity, ((x0, y0, x1, y1), label, score) in enumerate(
            zip(
                detection.boxes.tolist(),
                detection.labels.tolist(),
                scores.astype(np.float64).tolist(),
                strict=True,
            ),
            start=first_id,
        )
    ]
    if region == "mask":
        for row, mask in zip(rows, detection.masks or [], strict=True):
            row |= {"area": _mask_area(mask), "segmentation": mask}
    return rows


def _mask_area(mask: dict[str, Any]) -> float:
    return float(mask_codec().area(mask))


def _check(detections: Mapping[str, CompressedDetection], references: Sequence[ObjectReference]) -> None:
    expected = [reference.image_id for reference in references]
    if not expected:
        raise ValueError(
            "average precision needs at least one annotated image, got none: is the evaluation data empty?"
        )
    if len(set(expected)) != len(expected):
        raise ValueError(
            f"{len(expected) - len(set(expected))} image ids of the references repeat; they must be unique"
        )
    missing, surplus = set(expected) - set(detections), set(detections) - set(expected)
    if missing or surplus:
        raise ValueError(
            f"detections and references must be of the same images: {len(missing)} images lack detections "
            f"{sorted(missing)[:3]}, {len(surplus)} have no references {sorted(surplus)[:3]}"
        )
