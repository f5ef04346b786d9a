"""COCO results files against COCO instances files, without a model."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from uniperceiver.data.outlines import is_far_outside
from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.average_precision import Region, average_precision
from uniperceiver.evaluation.coco_backends import mask_codec
from uniperceiver.evaluation.compressed_detection import CompressedDetection
from uniperceiver.evaluation.file_scores import (
    FileScores,
    PredictionFileError,
    read_annotations,
    read_predictions,
)
from uniperceiver.evaluation.frequency_groups import ap_by_frequency

Rows = list[dict[str, Any]]
_PROTOCOL = (
    "COCO evaluation: mean AP over IoU 0.50 to 0.95, at most 100 detections of a class an image, crowds ignored, sizes "
    "by annotated area. Images without an entry count as without detections."
)
_GROUPS = " Rare, common and frequent classes: up to 10, up to 100, more training images."


def score_detections(predictions: Path, annotations: Path, training: Path | None = None) -> FileScores:
    """AP of boxes and, where all predictions have a segmentation, of masks.

    Args:
        predictions: a list of ``image_id``, ``category_id``, ``score`` and ``bbox``, ``segmentation`` or both.
        annotations: an instances file. With LVIS's ``image_count`` in its categories, results per rare, common and
            frequent classes are given as well.
        training: an instances file to count the training images of each class in, for the same.

    Raises:
        PredictionFileError: broken files, or predictions of images or categories that the annotations lack.
    """
    images = read_annotations(annotations, "images", "id", "height", "width")
    categories = read_annotations(annotations, "categories", "id")
    objects = read_annotations(annotations, "annotations", "image_id", "category_id", "bbox", "area")
    found = read_predictions(predictions, "image_id", "category_id", "score")
    _check_ids(found, images, categories, predictions)
    regions = _regions(found, objects, predictions)
    of_image = _by_image(found)
    truth_of_image = _by_image(objects)
    references = [_reference(image, truth_of_image[image["id"]], "mask" in regions) for image in images]
    detections = {str(image["id"]): _detection(of_image[image["id"]], image) for image in images}
    counts = _training_images(categories, training)
    metrics: dict[str, float] = {}
    for region in regions:
        scores = average_precision(detections, references, region)
        metrics |= scores.named(region)
        if counts is not None:
            grouped = ap_by_frequency(scores.ap_of_class, counts)
            for name in ("ap_rare", "ap_common", "ap_frequent"):
                metrics[f"{region}_{name}"] = vars(grouped)[name]
    protocol = _PROTOCOL if counts is None else _PROTOCOL + _GROUPS
    return FileScores(metrics, len(images), "images", protocol)


def _check_ids(found: Rows, images: Rows, categories: Rows, path: Path) -> None:
    known = {image["id"] for image in images}, {category["id"] for category in categories}
    for field, ids in zip(("image_id", "category_id"), known, strict=True):
        surplus = sorted({row[field] for row in found} - ids)
        if surplus:
            raise PredictionFileError(
                f"{path} has predictions with {len(surplus)} values of {field} that the annotations lack: {surplus[:5]}"
            )


def _regions(found: Rows, objects: Rows, path: Path) -> tuple[Region, ...]:
    """What every prediction and every object has."""
    with_masks = sum(bool(row.get("segmentation")) for row in found)
    if with_masks not in (0, len(found)):
        raise PredictionFileError(f"{path}: {with_masks} of {len(found)} predictions have a segmentation; expected all")
    if not with_masks and not all("bbox" in row for row in found):
        raise PredictionFileError(f"{path} has predictions with neither bbox nor segmentation")
    return ("box", "mask") if with_masks and all(row.get("segmentation") for row in objects) else ("box",)


def _by_image(rows: Rows) -> defaultdict[Any, Rows]:
    grouped: defaultdict[Any, Rows] = defaultdict(list)
    for row in rows:
        grouped[row["image_id"]].append(row)
    return grouped


def _reference(image: dict[str, Any], rows: Rows, with_masks: bool) -> ObjectReference:
    size = (image["height"], image["width"])
    return ObjectReference(
        image_id=str(image["id"]),
        size=size,
        boxes=_corners([row["bbox"] for row in rows]),
        masks=[encode_segmentation(row["segmentation"], size) if with_masks else None for row in rows],
        labels=np.array([row["category_id"] for row in rows], dtype=np.int64),
        is_crowd=np.array([row.get("iscrowd", 0) for row in rows], dtype=bool),
        areas=np.array([row["area"] for row in rows], dtype=np.float64),
    )


def _detection(rows: Rows, image: dict[str, Any]) -> CompressedDetection:
    size = (image["height"], image["width"])
    masks = [encode_segmentation(row["segmentation"], size) for row in rows if row.get("segmentation")]
    boxes = [row["bbox"] if "bbox" in row else mask_codec().toBbox(masks[i]) for i, row in enumerate(rows)]
    return CompressedDetection(
        boxes=_corners(boxes),
        scores=np.array([row["score"] for row in rows], dtype=np.float64),
        labels=np.array([row["category_id"] for row in rows], dtype=np.int64),
        masks=masks if len(masks) == len(rows) else None,
        mask_scores=np.ones(len(rows)),
    )


def encode_segmentation(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """COCO's compressed run lengths of polygons or counts, in an image (height, width).

    Raises:
        PredictionFileError: a polygon far outside of it.
    """
    if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
        counts = segmentation["counts"]
        return {"size": list(segmentation["size"]), "counts": counts.encode() if isinstance(counts, str) else counts}
    if isinstance(segmentation, list):
        parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
        if is_far_outside(parts, *size):
            raise PredictionFileError(f"a polygon lies far outside its image of {size[1]} x {size[0]} pixels")
    encoded = mask_codec().frPyObjects(segmentation, *size)
    return mask_codec().merge(encoded) if isinstance(encoded, list) else encoded


def _corners(boxes: list[Any]) -> np.ndarray:
    """COCO's (x, y, width, height) as (n, 4) float64 (x0, y0, x1, y1)."""
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return np.concatenate([array[:, :2], array[:, :2] + array[:, 2:]], axis=1)


def _training_images(categories: Rows, training: Path | None) -> dict[int, int] | None:
    """Category → training images that show it; None where nobody says."""
    if training is not None:
        shown = {
            (row["category_id"], row["image_id"])
            for row in read_annotations(training, "annotations", "image_id", "category_id")
        }
        counts = {category["id"]: 0 for category in categories}
        for category, _ in shown:
            counts[category] = counts.get(category, 0) + 1
        return counts
    if categories and all("image_count" in category for category in categories):
        return {category["id"]: category["image_count"] for category in categories}
    return None
