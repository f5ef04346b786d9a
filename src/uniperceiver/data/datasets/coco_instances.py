"""COCO instances JSON: pictures with boxes, polygons or run-length masks, and category names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from uniperceiver.config import CocoInstancesConfig, FoldConfig
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    existing_picture,
    is_in_fold,
    read_json_object,
    require_fields,
)
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import read_image
from uniperceiver.data.records import AnnotatedImage, ObjectReference


class CocoInstances:
    """Pictures with their objects, those without objects included, in the order of the file.

    Labels are positions in ``names``, which follows the category ids. Boxes are clipped to the picture. Crowds are kept
    and marked; boxes without width or height (COCO train2017 has two) are kept and named in a warning.
    """

    names: tuple[str, ...]

    def __init__(self, config: CocoInstancesConfig) -> None:
        """Index and check the annotations.

        Raises:
            DatasetError: an unreadable file, a missing picture, an unknown category or picture, a box that is not a box
                or mostly outside its picture, a segmentation that is neither polygons nor run lengths.
            ImportError: without the extra ``coco``.
        """
        _mask_codec()
        self.source = Path(config.annotations)
        self.folder = Path(config.images)
        content = read_json_object(self.source, "images", "annotations", "categories")
        categories = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        self.names = tuple(categories[number] for number in sorted(categories))
        labels = {number: label for label, number in enumerate(sorted(categories))}
        pictures = self._pictures(content["images"])
        objects: dict[int, list[dict[str, Any]]] = {number: [] for number in pictures}
        without_extent = []
        for entry in content["annotations"]:
            row = _checked(entry, f"{self.source}: annotation {entry.get('id')}", pictures, labels)
            objects[entry["image_id"]].append(row)
            if row["box"][2] <= row["box"][0] or row["box"][3] <= row["box"][1]:
                without_extent.append(entry.get("id"))
        if without_extent:
            warnings.warn(
                f"{self.source}: {len(without_extent)} annotations have a box without width or height, training goes "
                f"by their masks: {without_extent[:10]}",
                stacklevel=2,
            )
        self._rows = JsonRows(self._chosen(pictures, objects, config.fold))
        self._index_of_id = {self._rows[index]["id"]: index for index in range(len(self._rows))}

    def _pictures(self, entries: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        pictures: dict[int, dict[str, Any]] = {}
        for position, entry in enumerate(entries):
            require_fields(entry, f"{self.source}: images[{position}]", "id", "file_name", "height", "width")
            if entry["id"] in pictures:
                raise DatasetError(f"{self.source}: two images have the id {entry['id']}")
            existing_picture(self.folder / entry["file_name"], f"{self.source}: image {entry['id']}")
            pictures[entry["id"]] = entry
        return pictures

    @staticmethod
    def _chosen(
        pictures: dict[int, dict[str, Any]], objects: dict[int, list[dict[str, Any]]], fold: FoldConfig | None
    ) -> Iterator[dict[str, Any]]:
        for index, (number, entry) in enumerate(pictures.items()):
            if is_in_fold(index, fold):
                size = [entry["height"], entry["width"]]
                yield {"id": str(number), "file": entry["file_name"], "size": size, "objects": objects[number]}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> AnnotatedImage:
        row = self._rows[index]
        image = read_image(self.folder / row["file"])
        height, width = row["size"]
        if tuple(image.shape[1:]) != (height, width):
            raise DatasetError(
                f"{self.source} says that {row['file']} (image {row['id']}) has height {height} and width {width}, but "
                f"upright it has {image.shape[1]} and {image.shape[2]}"
            )
        objects = row["objects"]
        masks = np.zeros((len(objects), height, width), dtype=bool)
        for mask, entry in zip(masks, objects, strict=True):
            mask[:] = _mask_codec().decode(_run_lengths(entry["segmentation"], height, width))
        return AnnotatedImage(
            image=image,
            image_id=row["id"],
            boxes=torch.tensor([entry["box"] for entry in objects], dtype=torch.float32).reshape(-1, 4),
            masks=torch.from_numpy(masks),
            labels=torch.tensor([entry["label"] for entry in objects], dtype=torch.int64),
            is_crowd=torch.tensor([entry["crowd"] for entry in objects], dtype=torch.bool),
            original_size=(height, width),
        )

    def __repr__(self) -> str:
        return f"coco_instances {self.source} ({len(self)} pictures, {len(self.names)} categories)"

    def objects(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Boxes (n, 4) relative to their picture, in [0, 1], and labels (n,) of each picture; no crowds, no pixels."""
        for index in range(len(self)):
            row = self._rows[index]
            height, width = row["size"]
            known = [entry for entry in row["objects"] if not entry["crowd"]]
            boxes = np.array([entry["box"] for entry in known], dtype=np.float64).reshape(-1, 4)
            yield boxes / [width, height, width, height], np.array([e["label"] for e in known], dtype=np.int64)

    def reference(self, record: AnnotatedImage) -> ObjectReference:
        """What was annotated of a record of this data set, however the record has been transformed since."""
        row = self._rows[self._index_of_id[record.image_id]]
        objects = row["objects"]
        masks = [_run_lengths(entry["segmentation"], *row["size"]) for entry in objects]
        return ObjectReference(
            image_id=row["id"],
            size=tuple(row["size"]),
            boxes=np.array([entry["box"] for entry in objects], dtype=np.float64).reshape(-1, 4),
            masks=masks,
            labels=np.array([entry["label"] for entry in objects], dtype=np.int64),
            is_crowd=np.array([entry["crowd"] for entry in objects], dtype=bool),
            areas=np.array([entry["area"] for entry in objects], dtype=np.float64),
        )


def _mask_codec() -> ModuleType:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError("COCO annotations need pycocotools: pip install 'uniperceiver[coco]'") from error
    return mask


def _run_lengths(segmentation: Any, height: int, width: int) -> dict[str, object]:
    """COCO's compressed run lengths of one object's polygons or counts, as pycocotools makes them."""
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], str):
        return {"size": [height, width], "counts": segmentation["counts"].encode()}
    codec = _mask_codec()
    encoded = codec.frPyObjects(segmentation, height, width)
    return codec.merge(encoded) if isinstance(encoded, list) else encoded


def _checked(
    entry: dict[str, Any], where: str, pictures: dict[int, dict[str, Any]], labels: dict[int, int]
) -> dict[str, Any]:
    """One annotation as it is kept: box (x0, y0, x1, y1) clipped, label, crowd, area, segmentation."""
    require_fields(entry, where, "image_id", "category_id", "bbox", "area", "segmentation")
    if entry["category_id"] not in labels:
        raise DatasetError(f"{where} has category {entry['category_id']}, which the file's categories lack")
    if entry["image_id"] not in pictures:
        raise DatasetError(f"{where} belongs to image {entry['image_id']}, which the file's images lack")
    height, width = (pictures[entry["image_id"]][side] for side in ("height", "width"))
    _check_segmentation(entry["segmentation"], where, height, width)
    return {
        "box": _clipped(entry["bbox"], where, height, width),
        "label": labels[entry["category_id"]],
        "crowd": bool(entry.get("iscrowd", 0)),
        "area": entry["area"],
        "segmentation": entry["segmentation"],
    }


def _clipped(bbox: Any, where: str, height: int, width: int) -> list[float]:
    """COCO's (x, y, width, height) as (x0, y0, x1, y1) inside the picture."""
    is_box = isinstance(bbox, list) and len(bbox) == 4 and all(isinstance(value, int | float) for value in bbox)
    if not is_box or not math.isfinite(sum(bbox)) or min(bbox[2:]) < 0:
        raise DatasetError(f"{where} has the bbox {bbox}: expected x, y, width, height in pixels")
    x0, x1 = (min(max(x, 0), width) for x in (bbox[0], bbox[0] + bbox[2]))
    y0, y1 = (min(max(y, 0), height) for y in (bbox[1], bbox[1] + bbox[3]))
    if (x1 - x0) * (y1 - y0) < 0.5 * bbox[2] * bbox[3]:
        raise DatasetError(f"{where} has the bbox {bbox}, mostly outside its picture of {width}x{height} pixels")
    return [x0, y0, x1, y1]


def _check_segmentation(segmentation: Any, where: str, height: int, width: int) -> None:
    if isinstance(segmentation, list) and segmentation:
        if all(_is_polygon(part) for part in segmentation):
            return
        raise DatasetError(f"{where} has a polygon that is not a flat list of at least three points x, y")
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(segmentation):
        raise DatasetError(f"{where} has no mask: expected polygons or run lengths, got {str(segmentation)[:60]}")
    if list(segmentation["size"]) != [height, width]:
        raise DatasetError(f"{where} has a mask of size {segmentation['size']} for a picture of size {[height, width]}")
    if not isinstance(segmentation["counts"], str) and sum(segmentation["counts"]) != height * width:
        raise DatasetError(f"{where} has run lengths that do not add up to {height}x{width} pixels")


def _is_polygon(part: Any) -> bool:
    return isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0 and math.isfinite(sum(part))
