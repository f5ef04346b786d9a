"""YOLO's text files: one object a line, its class and its box or polygon relative to the image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from uniperceiver.data.doctor.class_lists import LIST_FILES, find_names
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, split_of
from uniperceiver.data.doctor.texts import read_text

_ROUNDING = 1e-3
"""How far a box's edge may lie over the image's, relative to it: files carry few digits."""


def label_files(texts: Iterable[Path], images: Iterable[Path]) -> list[Path]:
    """Of the text files of a folder, those that are YOLO annotations: below ``labels``, or beside their image."""
    stems = {image.with_suffix("") for image in images}
    return [
        path
        for path in texts
        if path.name not in LIST_FILES and ("labels" in path.parts[:-1] or path.with_suffix("") in stems)
    ]


def check_yolo(root: Path, labels: Sequence[Path], images: Sequence[Path], diagnosis: Diagnosis) -> list[Part]:
    """Look at label files and at the images below ``root``."""
    found = find_names(root, diagnosis)
    source, names = found if found is not None else (root, {})
    image_of = {path.with_suffix(""): path for path in images}
    parts: dict[str, Part] = {}
    labelled = set()
    for label in labels:
        part = parts.setdefault(split_of(label, root), Part("YOLO", source, split_of(label, root), names=names))
        part.records += 1
        image = image_of.get(_image_stem(label))
        if image is None:
            diagnosis.add(Kind.MISSING_IMAGE, label, "no image of its name")
        else:
            part.images[image] = None
            labelled.add(image)
        _check_file(label, part, diagnosis)
    for image in images:
        if image not in labelled:
            diagnosis.add(Kind.NO_OBJECT, image, "it has no label file")
            split = split_of(image, root)
            parts.setdefault(split, Part("YOLO", source, split, names=names)).images[image] = None
    return list(parts.values())


def _image_stem(label: Path) -> Path:
    """Path without suffix of the image of a label file: ``labels`` stands where the images have ``images``."""
    parts = list(label.with_suffix("").parts)
    if "labels" in parts:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    return Path(*parts)


def _check_file(label: Path, part: Part, diagnosis: Diagnosis) -> None:
    lines = [line for line in read_text(label, diagnosis).splitlines() if line.strip()]
    if not lines:
        diagnosis.add(Kind.NO_OBJECT, label)
    seen = set()
    for number, line in enumerate(lines, start=1):
        if line in seen:
            diagnosis.add(Kind.REPEATED_OBJECT, label, f"line {number}")
        seen.add(line)
        _check_line(line.split(), part, label, f"line {number}", diagnosis)


def _check_line(words: list[str], part: Part, label: Path, where: str, diagnosis: Diagnosis) -> None:
    try:
        given, values = float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        diagnosis.add(Kind.BAD_YOLO_LINE, label, f"{where}: {' '.join(words)[:60]!r}")
        return
    is_shape = len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)
    if not is_shape or given != int(given) or not math.isfinite(sum(values)):
        kind = Kind.BAD_POLYGON if len(values) > 5 else Kind.BAD_YOLO_LINE
        diagnosis.add(kind, label, f"{where}: {len(values)} values after the class")
        return
    part.examples[int(given)] += 1
    if given < 0 or (part.names and int(given) not in part.names):
        diagnosis.add(Kind.CLASS_BEYOND_NAMES, label, f"{where}: class {words[0]} of {len(part.names)}")
    if min(values) < 0 or max(values) > 1:
        diagnosis.add(Kind.VALUE_OUT_OF_RANGE, label, f"{where}: {min(values):g} to {max(values):g}")
    elif len(values) == 4:
        _check_box(values, label, where, diagnosis)


def _check_box(values: list[float], label: Path, where: str, diagnosis: Diagnosis) -> None:
    """A box (centre x, centre y, width, height) whose values lie in [0, 1]."""
    x, y, width, height = values
    if width == 0 or height == 0:
        diagnosis.add(Kind.ZERO_AREA, label, where)
    elif max(width / 2 - x, height / 2 - y, x + width / 2 - 1, y + height / 2 - 1) > _ROUNDING:
        diagnosis.add(Kind.BOX_OVER_EDGE, label, f"{where}: {' '.join(f'{value:g}' for value in values)}")
