"""Pascal VOC XML: one file for each image, corners in pixels."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.image_list import LONGEST_NUMBER
from uniperceiver.data.datasets.voc import read_annotation
from uniperceiver.data.doctor.class_lists import find_names
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, split_of
from uniperceiver.data.doctor.texts import read_text

_ON_THE_EDGE = 1.0
"""Pixels that a corner may lie over the edge: VOC counts them from 1, other tools from 0."""
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")


def check_voc(root: Path, files: Sequence[Path], diagnosis: Diagnosis) -> list[Part]:
    """Look at annotation files below ``root``."""
    found = find_names(root, diagnosis)
    listed = set(found[1].values()) if found is not None else None
    numbers = {name: number for number, name in found[1].items()} if found is not None else {}
    splits = _splits(root, diagnosis)
    parts: dict[str, Part] = {}
    for path in files:
        try:
            annotation = read_annotation(path)
        except DatasetError as error:
            diagnosis.add(Kind.UNREADABLE_FILE, path, str(error).removeprefix(f"{path} "))
            continue
        split = splits.get(path.stem) or split_of(path, root)
        part = parts.setdefault(split, Part("Pascal VOC", root, split))
        part.records += 1
        size = _size(annotation)
        _find_image(annotation, path, size, part, diagnosis)
        objects = annotation.findall("object")
        if not objects:
            diagnosis.add(Kind.NO_OBJECT, path)
        for position, entry in enumerate(objects, start=1):
            name = (entry.findtext("name") or "").strip()
            part.examples[numbers.setdefault(name, len(numbers))] += 1
            if listed is not None and name not in listed:
                diagnosis.add(Kind.UNKNOWN_NAME, path, f"object {position} is {name!r}")
            _check_box(entry, size, path, f"object {position} ({name})", diagnosis)
    for part in parts.values():
        part.names = {number: name for name, number in numbers.items()}
    return list(parts.values())


def _splits(root: Path, diagnosis: Diagnosis) -> dict[str, str]:
    """Image name → split, from ``ImageSets/Main``."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        for path in root.rglob(f"ImageSets/Main/{split}.txt"):
            found |= {line.split()[0]: split for line in read_text(path, diagnosis).splitlines() if line.strip()}
    return found


def _size(annotation: ElementTree.Element) -> tuple[int, int] | None:
    """(height, width), where the file gives it."""
    sides = [(annotation.findtext(f"size/{side}") or "").strip() for side in ("height", "width")]
    if not all(side.isdecimal() and len(side) <= LONGEST_NUMBER for side in sides):
        return None
    height, width = map(int, sides)
    return (height, width) if height and width else None


def _find_image(
    annotation: ElementTree.Element, path: Path, size: tuple[int, int] | None, part: Part, diagnosis: Diagnosis
) -> None:
    name = (annotation.findtext("filename") or "").strip()
    if not name:
        diagnosis.add(Kind.BAD_ENTRY, path, "it has no filename")
        return
    folders = [path.parent, *(path.parent.parent / folder for folder in _IMAGE_FOLDERS), path.parent.parent]
    folders += [path.parent.parent.parent / folder / path.parent.name for folder in _IMAGE_FOLDERS]
    for folder in folders:
        if os.path.isfile(folder / name):
            part.images[folder / name] = size
            return
    diagnosis.add(Kind.MISSING_IMAGE, path, name)


def _check_box(
    entry: ElementTree.Element, size: tuple[int, int] | None, path: Path, where: str, diagnosis: Diagnosis
) -> None:
    try:
        x0, y0, x1, y1 = (float(entry.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        diagnosis.add(Kind.BAD_BOX, path, f"{where}: no xmin, ymin, xmax, ymax")
        return
    box = f"{where}: {[x0, y0, x1, y1]}"
    if not math.isfinite(x0 + y0 + x1 + y1) or x1 < x0 or y1 < y0:
        diagnosis.add(Kind.BAD_BOX, path, box)
    elif x1 == x0 or y1 == y0:
        diagnosis.add(Kind.ZERO_AREA, path, box)
    elif size is not None:
        height, width = size
        inside = max(0.0, min(x1, width) - max(x0, 0)) * max(0.0, min(y1, height) - max(y0, 0))
        if inside < 0.5 * (x1 - x0) * (y1 - y0):
            diagnosis.add(Kind.BOX_OUTSIDE, path, f"{box} in {width}x{height}")
        elif max(-x0, -y0, x1 - width, y1 - height) > _ON_THE_EDGE:
            diagnosis.add(Kind.BOX_OVER_EDGE, path, f"{box} in {width}x{height}")
