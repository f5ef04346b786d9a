"""COCO instances JSON: pictures with boxes, polygons or run-length masks where they have some, and category names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uniperceiver.config import CocoInstancesConfig, FoldConfig
from uniperceiver.data.datasets.annotated_pictures import AnnotatedObject, AnnotatedPictures, AnnotatedRow
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    existing_picture,
    is_in_fold,
    read_json_object,
    require_fields,
    require_id,
)
from uniperceiver.data.outlines import box_outline, is_far_outside


class CocoInstances(AnnotatedPictures):
    """Pictures with their objects, those without objects included, in the order of the file.

    Labels are positions in ``names``, which follows the category ids. Boxes are clipped to the picture. Crowds are kept
    and marked; boxes without width or height (COCO train2017 has two) are kept and named in a warning. An object whose
    ``segmentation`` is missing or empty, as tools for boxes write it, has no mask.
    """

    def __init__(self, config: CocoInstancesConfig) -> None:
        """Index and check the annotations.

        Raises:
            DatasetError: an unreadable file, a missing picture, an unknown category or picture, a box that is not a box
                or mostly outside its picture, a segmentation that is neither polygons nor run lengths.
            ImportError: without the extra ``coco``.
        """
        source, folder = Path(config.annotations), Path(config.images)
        content = read_json_object(source, "images", "annotations", "categories")
        categories = _categories(content["categories"], source)
        labels = {number: label for label, number in enumerate(sorted(categories))}
        pictures = _pictures(content["images"], source, folder)
        objects: dict[int, list[AnnotatedObject]] = {number: [] for number in pictures}
        without_extent = []
        for position, entry in enumerate(content["annotations"]):
            require_fields(entry, f"{source}: annotations[{position}]", "id")
            row = _checked(entry, f"{source}: annotation {entry['id']}", pictures, labels)
            objects[entry["image_id"]].append(row)
            if row["box"][2] <= row["box"][0] or row["box"][3] <= row["box"][1]:
                without_extent.append(entry["id"])
        if without_extent:
            warnings.warn(
                f"{source}: {len(without_extent)} annotations have a box without width or height, training goes "
                f"by their masks: {without_extent[:10]}",
                stacklevel=2,
            )
        names = tuple(categories[number] for number in sorted(categories))
        super().__init__(source, folder, names, _chosen(pictures, objects, config.fold))

    def __repr__(self) -> str:
        return f"coco_instances {self.source} ({len(self)} pictures, {len(self.names)} categories)"


def _categories(entries: list[dict[str, Any]], source: Path) -> dict[int, str]:
    categories: dict[int, str] = {}
    for position, entry in enumerate(entries):
        require_fields(entry, f"{source}: categories[{position}]", "id", "name")
        require_id(entry, "id", f"{source}: categories[{position}]")
        if entry["id"] in categories:
            raise DatasetError(f"{source}: two categories have the id {entry['id']}")
        categories[entry["id"]] = str(entry["name"])
    if len({type(number) for number in categories}) > 1:
        raise DatasetError(f"{source}: some categories have a number as id, some a text: use numbers")
    return categories


def _pictures(entries: list[dict[str, Any]], source: Path, folder: Path) -> dict[int, dict[str, Any]]:
    pictures: dict[int, dict[str, Any]] = {}
    for position, entry in enumerate(entries):
        where = f"{source}: images[{position}]"
        require_fields(entry, where, "id", "file_name", "height", "width")
        require_id(entry, "id", where)
        sides = [entry["height"], entry["width"]]
        if not isinstance(entry["file_name"], str) or not all(isinstance(x, int | float) and x > 0 for x in sides):
            raise DatasetError(
                f"{where} has the file_name {entry['file_name']!r} of {sides} pixels: expected a text, and a height "
                "and a width above 0"
            )
        if entry["id"] in pictures:
            raise DatasetError(f"{source}: two images have the id {entry['id']}")
        existing_picture(folder / entry["file_name"], f"{source}: image {entry['id']}")
        pictures[entry["id"]] = entry
    return pictures


def _chosen(
    pictures: dict[int, dict[str, Any]], objects: dict[int, list[AnnotatedObject]], fold: FoldConfig | None
) -> Iterator[AnnotatedRow]:
    for index, (number, entry) in enumerate(pictures.items()):
        if is_in_fold(index, fold):
            size = [entry["height"], entry["width"]]
            yield {"id": str(number), "file": entry["file_name"], "size": size, "objects": objects[number]}


def _checked(
    entry: dict[str, Any], where: str, pictures: dict[int, dict[str, Any]], labels: dict[int, int]
) -> AnnotatedObject:
    """One annotation as it is kept, its box clipped."""
    require_fields(entry, where, "image_id", "category_id", "bbox", "area")
    require_id(entry, "image_id", where)
    require_id(entry, "category_id", where)
    if entry["category_id"] not in labels:
        raise DatasetError(f"{where} has category {entry['category_id']}, which the file's categories lack")
    if entry["image_id"] not in pictures:
        raise DatasetError(f"{where} belongs to image {entry['image_id']}, which the file's images lack")
    if not isinstance(entry["area"], int | float):
        raise DatasetError(f"{where} has the area {str(entry['area'])[:60]!r}: expected a number of pixels")
    height, width = (pictures[entry["image_id"]][side] for side in ("height", "width"))
    box, segmentation = _clipped(entry["bbox"], where, height, width), entry.get("segmentation")
    if segmentation:
        _check_segmentation(segmentation, where, height, width)
    return {
        "box": box,
        "label": labels[entry["category_id"]],
        "crowd": bool(entry.get("iscrowd", 0)),
        "area": entry["area"],
        "outline": segmentation or box_outline(box),
        "has_mask": bool(segmentation),
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
    if isinstance(segmentation, list):
        if not all(_is_polygon(part) for part in segmentation):
            raise DatasetError(f"{where} has a polygon that is not a flat list of at least three points x, y")
        if is_far_outside(segmentation, height, width):
            raise DatasetError(f"{where} has a polygon far outside its picture of {width}x{height} pixels")
        return
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(segmentation):
        raise DatasetError(
            f"{where} has no mask that can be read: expected polygons or run lengths, got {str(segmentation)[:60]}"
        )
    if list(segmentation["size"]) != [height, width]:
        raise DatasetError(f"{where} has a mask of size {segmentation['size']} for a picture of size {[height, width]}")
    if not isinstance(segmentation["counts"], str) and sum(segmentation["counts"]) != height * width:
        raise DatasetError(f"{where} has run lengths that do not add up to {height}x{width} pixels")


def _is_polygon(part: Any) -> bool:
    try:
        return isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0 and math.isfinite(sum(part))
    except TypeError:  # a place that is no number
        return False
