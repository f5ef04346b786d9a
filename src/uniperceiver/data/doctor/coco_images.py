"""The list of images that COCO's instances, captions and other JSON files share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.json_files import entries, is_count
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, folder_with, split_of


def coco_part(format: str, source: Path, root: Path) -> Part:
    """An empty part of a file of COCO's family."""
    return Part(format, source, split_of(source, root))


def check_images(
    content: dict[str, Any], part: Part, root: Path, images: Path | None, diagnosis: Diagnosis
) -> dict[Any, tuple[int, int] | None]:
    """Image id → (height, width) of all images of the file; their files go into ``part``."""
    rows = entries(content, "images", ("id", "file_name"), part.source, diagnosis)
    rows = [row for row in rows if _is_usable(row, part.source, diagnosis)]
    names = [row["file_name"] for row in rows]
    folder = folder_with(names, part.source, root, images)
    sizes: dict[Any, tuple[int, int] | None] = {}
    for row in rows:
        if row["id"] in sizes:
            diagnosis.add(Kind.REPEATED_IMAGE_ID, part.source, f"image {row['id']}")
        size = (row.get("height"), row.get("width"))
        sizes[row["id"]] = size if is_count(size[0]) and is_count(size[1]) else None
        file = folder / row["file_name"]
        if os.path.isfile(file):
            part.images[file] = sizes[row["id"]]
        else:
            diagnosis.add(Kind.MISSING_IMAGE, file, f"image {row['id']} of {part.source.name}")
    part.records = len(rows)
    part.folder = folder if part.images else None
    return sizes


def _is_usable(row: dict[str, Any], source: Path, diagnosis: Diagnosis) -> bool:
    if isinstance(row["id"], int | str) and isinstance(row["file_name"], str) and row["file_name"]:
        return True
    diagnosis.add(Kind.BAD_ENTRY, source, f"an image has id {row['id']!r} and file_name {row['file_name']!r}")
    return False
