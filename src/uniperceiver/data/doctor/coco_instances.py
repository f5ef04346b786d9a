"""COCO instances JSON: images, categories, boxes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uniperceiver.data.doctor.coco_images import check_images, coco_part
from uniperceiver.data.doctor.coco_masks import check_mask, is_box
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.json_files import entries, is_count
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part

_COCO_GAPS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})
"""Ids between 1 and 91 that COCO's 80 classes leave out."""
_COCO_IDS = frozenset(range(1, 91)) - _COCO_GAPS
_ON_THE_EDGE = 1.0
"""Pixels that a box may reach over the edge: annotation tools round."""


def check_coco_instances(
    content: dict[str, Any], source: Path, root: Path, images: Path | None, diagnosis: Diagnosis
) -> list[Part]:
    """Look at a parsed instances file."""
    part = coco_part("COCO instances", source, root)
    sizes = check_images(content, part, root, images, diagnosis)
    part.names = _check_categories(content, source, diagnosis)
    rows = entries(content, "annotations", ("image_id", "category_id"), source, diagnosis)
    _check_object_ids(rows, source, diagnosis)
    _check_category_ids(rows, part, diagnosis)
    known = _of_known_images(rows, sizes, source, diagnosis)
    are_corners = check_boxes(known, sizes, source, diagnosis)
    for row in map(_from_corners, known) if are_corners else known:
        check_mask(row, sizes[row["image_id"]], source, diagnosis)
    _check_images_content(known, sizes, source, diagnosis)
    part.examples = Counter(row["category_id"] for row in rows if is_count(row["category_id"]))
    return [part]


def _check_categories(content: dict[str, Any], source: Path, diagnosis: Diagnosis) -> dict[int, str]:
    names: dict[int, str] = {}
    for row in entries(content, "categories", ("id", "name"), source, diagnosis):
        if not is_count(row["id"]):
            diagnosis.add(Kind.BAD_ENTRY, source, f"a category has the id {row['id']!r}")
            continue
        if row["id"] in names:
            diagnosis.add(Kind.REPEATED_CATEGORY_ID, source, f"category {row['id']}")
        names[row["id"]] = str(row["name"])
    last = {name: number for number, name in names.items()}
    if len(names) == 80 and {"person", "toothbrush"} <= set(last) and set(names) != _COCO_IDS:
        diagnosis.add(Kind.CONTIGUOUS_COCO_IDS, source, f"toothbrush is {last['toothbrush']}, in COCO 90")
    return names


def _check_object_ids(rows: Sequence[dict[str, Any]], source: Path, diagnosis: Diagnosis) -> None:
    times = Counter(str(row["id"]) for row in rows if "id" in row)
    for identity, count in times.items():
        if count > 1:
            diagnosis.add(Kind.REPEATED_OBJECT_ID, source, f"annotation {identity}, {count} times")


def _check_category_ids(rows: Sequence[dict[str, Any]], part: Part, diagnosis: Diagnosis) -> None:
    """Ids that the categories lack: COCO's two numberings mixed, or simply unknown."""
    known = set(part.names)
    unknown = [row for row in rows if not is_count(row["category_id"]) or row["category_id"] not in known]
    numbers = {row["category_id"] for row in unknown if is_count(row["category_id"])}
    is_mixed = bool(numbers) and (
        (known == _COCO_IDS and numbers <= _COCO_GAPS | {0})
        or (known in (set(range(80)), set(range(1, 81))) and numbers <= set(range(80, 91)))
    )
    for row in unknown:
        kind = Kind.CATEGORY_ID_MIX_UP if is_mixed else Kind.UNKNOWN_CATEGORY
        diagnosis.add(kind, part.source, f"annotation {row.get('id')} has category {row['category_id']!r}")


def _of_known_images(
    rows: Sequence[dict[str, Any]], sizes: dict[Any, tuple[int, int] | None], source: Path, diagnosis: Diagnosis
) -> list[dict[str, Any]]:
    known = []
    for row in rows:
        if isinstance(row["image_id"], int | str) and row["image_id"] in sizes:
            known.append(row)
        else:
            diagnosis.add(Kind.UNKNOWN_IMAGE, source, f"annotation {row.get('id')}: image {row['image_id']!r}")
    return known


def check_boxes(
    rows: Sequence[dict[str, Any]], sizes: dict[Any, tuple[int, int] | None], source: Path, diagnosis: Diagnosis
) -> bool:
    """Boxes against the images that they lie in; whether all that reach out would fit as corners."""
    over: list[str] = []
    outside: list[str] = []
    corners = boxes = 0
    for row in rows:
        where, box, size = f"annotation {row.get('id')}", row.get("bbox"), sizes[row["image_id"]]
        if not is_box(box):
            diagnosis.add(Kind.BAD_BOX, source, f"{where}: {box!r}")
            continue
        x, y, width, height = row["bbox"]
        boxes += 1
        if width == 0 or height == 0:
            diagnosis.add(Kind.ZERO_AREA, source, f"{where}: {box}")
        elif size is not None and _reaches_out(x, y, width, height, size):
            said = f"{where}: {box} in {size[1]}x{size[0]}"
            (outside if _share_inside(x, y, width, height, size) < 0.5 else over).append(said)
            corners += x < width <= size[1] + _ON_THE_EDGE and y < height <= size[0] + _ON_THE_EDGE and min(x, y) >= 0
    if len(over) + len(outside) > max(2, boxes // 10) and corners == len(over) + len(outside):
        diagnosis.add(Kind.CORNER_BOXES, source, f"{corners} of {boxes} boxes, {(over + outside)[0]}")
        return True
    for said in over:
        diagnosis.add(Kind.BOX_OVER_EDGE, source, said)
    for said in outside:
        diagnosis.add(Kind.BOX_OUTSIDE, source, said)
    return False


def _from_corners(row: dict[str, Any]) -> dict[str, Any]:
    """An annotation whose box was written as corners, with its box as it should be."""
    if not is_box(row.get("bbox")):
        return row
    x0, y0, x1, y1 = row["bbox"]
    return row | {"bbox": [x0, y0, x1 - x0, y1 - y0]}


def _reaches_out(x: float, y: float, width: float, height: float, size: tuple[int, int]) -> bool:
    reach = (-x, -y, x + width - size[1], y + height - size[0])
    return max(reach) > _ON_THE_EDGE


def _share_inside(x: float, y: float, width: float, height: float, size: tuple[int, int]) -> float:
    """Share of a box's area that lies inside an image (height, width)."""
    inside_x = max(0.0, min(x + width, size[1]) - max(x, 0.0))
    inside_y = max(0.0, min(y + height, size[0]) - max(y, 0.0))
    return inside_x * inside_y / (width * height)


def _check_images_content(
    rows: Sequence[dict[str, Any]], sizes: dict[Any, tuple[int, int] | None], source: Path, diagnosis: Diagnosis
) -> None:
    """Images without objects, with crowds alone, with the same object twice."""
    crowds: dict[Any, list[bool]] = defaultdict(list)
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        crowds[row["image_id"]].append(bool(row.get("iscrowd", 0)))
        if is_box(row.get("bbox")):
            same = (row["image_id"], str(row["category_id"]), *row["bbox"])
            if same in seen:
                diagnosis.add(Kind.REPEATED_OBJECT, source, f"annotation {row.get('id')} in image {row['image_id']}")
            seen.add(same)
    for image in sizes:
        if image not in crowds:
            diagnosis.add(Kind.NO_OBJECT, source, f"image {image}")
        elif all(crowds[image]):
            diagnosis.add(Kind.CROWD_ONLY, source, f"image {image}")
