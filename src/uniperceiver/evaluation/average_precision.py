"""Average precision of boxes and masks as COCO defines it, computed by hotcoco or pycocotools."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np

from uniperceiver.data.records import ObjectReference
from uniperceiver.predictions import Detection

Backend = Literal["hotcoco", "pycocotools"]
Region = Literal["box", "mask"]
DETECTIONS_PER_IMAGE = 100
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
    )


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
        class_agnostic: count any label as right. A region given under several names then counts once, with its best
            score.
        backend: None takes hotcoco where it is installed, else pycocotools; they give the same numbers.

    Raises:
        ValueError: missing or surplus images, repeated image ids, or masks wanted where a detection has none.
        ModuleNotFoundError: neither backend is installed.
    """
    _check(detections, references)
    # Equal scores of different images are ranked in the order of the images. That of the official evaluation is the
    # order of numeric ids, which is this one; so the order of batches cannot matter.
    references = sorted(references, key=lambda reference: (len(reference.image_id), reference.image_id))
    coco, coco_eval = _load(backend or _available_backend())
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
        truth += [row | {"image_id": image_id} for row in _reference_annotations(reference, region)]
        detection = detections[reference.image_id]
        index = _distinct_regions(detection) if class_agnostic else np.arange(len(detection.scores))
        found += [row | {"image_id": image_id} for row in _detection_annotations(detection, index, region)]
    for rows in (truth, found):
        # Ids start at 1: pycocotools takes a match with annotation 0 for no match.
        for identity, row in enumerate(rows, start=1):
            row |= {"id": identity} | ({"category_id": 0} if class_agnostic else {})
    return truth, found


def _read(evaluation: Any, classes: list[int]) -> AveragePrecision:
    numbers = {
        name: float("nan") if value < 0 else float(value)
        for name, value in zip(_STATISTICS, evaluation.stats, strict=True)
    }
    # precision: (IoU thresholds, recall thresholds, classes, areas, detection limits)
    per_class = evaluation.eval["precision"][0, :, :, 0, -1].mean(axis=0) if classes else []
    return AveragePrecision(
        **numbers,
        ap50_of_class={label: float(ap) for label, ap in zip(classes, per_class, strict=True) if ap >= 0},
    )


def _reference_annotations(reference: ObjectReference, region: Region) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "category_id": int(label),
            "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
            "area": float(area),
            "iscrowd": int(is_crowd),
        }
        for (x0, y0, x1, y1), label, area, is_crowd in zip(
            reference.boxes, reference.labels, reference.areas, reference.is_crowd, strict=True
        )
    ]
    if region == "mask":
        for row, mask in zip(rows, reference.masks, strict=True):
            row["segmentation"] = mask
    return rows


def _detection_annotations(detection: CompressedDetection, index: np.ndarray, region: Region) -> list[dict[str, Any]]:
    """The chosen detections; their area, which COCO also sorts into sizes by, is that of the compared region."""
    rows = []
    for i in index.tolist():
        x0, y0, x1, y1 = detection.boxes[i].tolist()
        row: dict[str, Any] = {
            "category_id": int(detection.labels[i]),
            "iscrowd": 0,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
        }
        if region == "box":
            row |= {"score": float(detection.scores[i]), "area": (x1 - x0) * (y1 - y0)}
        else:
            if detection.masks is None or detection.mask_scores is None:
                raise ValueError("mask average precision needs detections with masks and mask_scores; use region='box'")
            row |= {
                "score": float(detection.scores[i] * detection.mask_scores[i]),
                "area": _mask_area(detection.masks[i]),
                "segmentation": detection.masks[i],
            }
        rows.append(row)
    return rows


def _distinct_regions(detection: CompressedDetection) -> np.ndarray:
    """Index of the best-scored detection of every distinct box."""
    order = np.argsort(-detection.scores, kind="stable")
    if len(order) == 0:
        return order
    _, first = np.unique(detection.boxes[order], axis=0, return_index=True)
    return order[np.sort(first)]


def _available_backend() -> Backend:
    names: tuple[Backend, ...] = ("hotcoco", "pycocotools")
    for name in names:
        if importlib.util.find_spec(name) is not None:
            return name
    raise ModuleNotFoundError("COCO average precision needs hotcoco or pycocotools: pip install 'uniperceiver[coco]'")


def _load(backend: Backend) -> tuple[Any, Any]:
    """Data set constructor from a dict, and evaluator, of a backend."""
    if backend == "hotcoco":
        module: ModuleType = importlib.import_module("hotcoco")
        return module.COCO, module.COCOeval
    coco_class = importlib.import_module("pycocotools.coco").COCO

    def from_dict(dataset: dict[str, Any]) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = coco_class()
            coco.dataset = dataset
            coco.createIndex()
        return coco

    return from_dict, importlib.import_module("pycocotools.cocoeval").COCOeval


def _mask_codec() -> ModuleType:
    return importlib.import_module(f"{_available_backend()}.mask")


def boxes_as_masks(boxes: np.ndarray, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Boxes (n, 4), (x0, y0, x1, y1) in pixels of a picture (H, W), filled: COCO RLE of each."""
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return _mask_codec().frPyObjects(sides, *size) if len(sides) else []


def _encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """(n, H, W) bool as COCO RLE."""
    encode = _mask_codec().encode
    return [encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]


def _mask_area(mask: dict[str, Any]) -> float:
    return float(_mask_codec().area(mask))


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
