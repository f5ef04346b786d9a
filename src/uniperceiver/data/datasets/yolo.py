"""YOLO txt: one file per picture, one object a line, in coordinates relative to the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from uniperceiver.config import YoloConfig
from uniperceiver.data.datasets.annotated_pictures import AnnotatedObject, AnnotatedPictures, AnnotatedRow
from uniperceiver.data.datasets.annotation_files import DatasetError, existing_picture, is_in_fold, read_text
from uniperceiver.data.images import PICTURE_SUFFIXES, upright_size
from uniperceiver.data.outlines import box_outline, polygon_area

LARGEST_FILE = 2**24
"""Bytes of a file of labels or names."""
SLACK = 0.01
"""How far outside [0, 1] coordinates may lie, as rounding leaves them; they are clipped."""


class Yolo(AnnotatedPictures):
    """Pictures with boxes or polygons; a picture without a txt file, or with an empty one, shows no object.

    An object of which only the box is given has no mask.
    """

    def __init__(self, config: YoloConfig) -> None:
        """Index and check the labels; of the pictures, only the headers are read.

        Raises:
            DatasetError: no picture, no txt file at all, a line that is no object, a class without a name.
            ImageError: a picture that cannot be read.
            ImportError: without the extra ``coco``.
        """
        images = Path(config.images)
        labels = None if config.labels is None else Path(config.labels)
        if labels is not None and not labels.is_dir():
            raise DatasetError(f"no folder {labels}: `labels` should hold the txt files")
        names = read_class_names(Path(config.names))
        pictures = listed_pictures(images)
        files = {path: label_file(path, images, labels) for path in pictures}
        if not any(file.is_file() for file in files.values()):
            first = pictures[0]
            raise DatasetError(f"no picture of {images} has labels: looked for {files[first]} for {first}")
        chosen = (path for index, path in enumerate(pictures) if is_in_fold(index, config.fold))
        super().__init__(images, Path(), names, (_row(path, files[path], len(names)) for path in chosen))

    def __repr__(self) -> str:
        return f"yolo {self.source} ({len(self)} pictures, {len(self.names)} classes)"


def listed_pictures(images: Path) -> list[Path]:
    """The pictures of a folder, at any depth, by path; or those that a text file lists, relative to it.

    Raises:
        DatasetError: neither, or no picture.
    """
    if images.is_dir():
        found = sorted(path for path in images.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    elif images.suffix == ".txt":
        lines = [line.strip() for line in read_text(images, LARGEST_FILE).splitlines() if line.strip()]
        found = [existing_picture(images.parent / line, str(images)) for line in lines]
    else:
        raise DatasetError(f"no folder {images}: `images` should be a folder of pictures or a .txt list of them")
    if not found:
        raise DatasetError(f"no picture in {images} (of {', '.join(sorted(PICTURE_SUFFIXES))})")
    return found


def label_file(picture: Path, images: Path, labels: Path | None) -> Path:
    """The txt file of a picture: in ``labels``; else where its last folder ``images`` is ``labels``; else beside it."""
    name = picture.with_suffix(".txt")
    if labels is not None:
        return labels / (name.relative_to(images) if name.is_relative_to(images) else name.name)
    parts = name.parts
    if "images" not in parts[:-1]:
        return name
    last = max(index for index, part in enumerate(parts[:-1]) if part == "images")
    return Path(*parts[:last], "labels", *parts[last + 1 :])


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names of a ``data.yaml`` (``names``: a list, or number → name), or of a text file, one a line.

    Raises:
        DatasetError: an unreadable file, no names, numbers that are not 0, 1, 2, …, or a name that YAML takes for a
            truth value or for nothing, as ``yes``, ``off`` and ``null`` without quotes.
    """
    text = read_text(path, LARGEST_FILE)
    if path.suffix in {".yaml", ".yml"}:
        return _names_of(read_data_yaml(path).get("names"), path)
    names = tuple(line.strip() for line in text.splitlines())
    if not names or not all(names):
        raise DatasetError(f"{path} should hold one class name a line, without blank lines")
    return names


class NumbersAsWritten(yaml.SafeLoader):
    """Numbers stay texts: a class called 007 is not called 7."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class declares it
        first: [(tag, form) for tag, form in forms if tag not in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_data_yaml(path: Path) -> dict[str, Any]:
    """The content of a ``data.yaml``, its numbers as texts.

    Raises:
        DatasetError: not YAML, or no mapping; aliases, which could expand without bound, are refused.
    """
    text = read_text(path, LARGEST_FILE)
    try:
        if has_alias(text):
            raise DatasetError(f"{path} has a YAML alias (*name): write the value itself")
        content = yaml.load(text, NumbersAsWritten)
    except yaml.YAMLError as error:
        raise DatasetError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path} should be a YAML mapping with `names`")
    return content


def has_alias(text: str) -> bool:
    """Whether YAML repeats a value by its name: a short file can so hold an endless one."""
    return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))


def is_name(given: Any) -> bool:
    """Whether something of a ``data.yaml`` can be a class name: no, yes and nothing are none, nor are lists."""
    return given is not None and not isinstance(given, bool | list | dict)


def _names_of(given: Any, path: Path) -> tuple[str, ...]:
    if isinstance(given, dict) and sorted(map(str, given)) == sorted(map(str, range(len(given)))):
        given = [given[key] for key in sorted(given, key=int)]
    if not isinstance(given, list) or not given:
        raise DatasetError(f"{path} should give `names`: a list, or one name for each of 0, 1, 2, …")
    for number, name in enumerate(given):
        if not is_name(name):
            raise DatasetError(f"{path}: the name of class {number} is {name!s:.80} in YAML: write it in quotes")
    return tuple(str(name) for name in given)


def _row(picture: Path, labels: Path, classes: int) -> AnnotatedRow:
    height, width = upright_size(picture)
    return {
        "id": str(picture),
        "file": str(picture),
        "size": [height, width],
        "objects": list(_objects(labels, classes, height, width)) if labels.is_file() else [],
    }


def _objects(labels: Path, classes: int, height: int, width: int) -> Iterator[AnnotatedObject]:
    for number, line in enumerate(read_text(labels, LARGEST_FILE).splitlines(), start=1):
        if line.strip():
            yield parse_object(line, f"{labels}, line {number}", classes, height, width)


def parse_object(line: str, where: str, classes: int, height: int, width: int) -> AnnotatedObject:
    """One line of a txt file: class and box, or class and polygon of three points or more.

    Raises:
        DatasetError: another number of values, a value that is no number, a class without a name, a place outside the
            picture, a box without width or height.
    """
    fields = line.split()
    try:
        values = [float(field) for field in fields[1:]]
        label = int(fields[0])
    except ValueError:
        raise DatasetError(f"{where}: expected a class number and coordinates, got {line[:60]!r}") from None
    is_box = len(values) == 4
    if not is_box and (len(values) < 6 or len(values) % 2):
        raise DatasetError(
            f"{where} has {len(values)} coordinates: expected 4 (x, y, width, height) or a polygon's 6, 8, …"
        )
    if not 0 <= label < classes:
        raise DatasetError(f"{where} has class {label}, but there are {classes} names")
    points = _corners(values) if is_box else values
    if not all(math.isfinite(value) and -SLACK <= value <= 1 + SLACK for value in points):
        raise DatasetError(f"{where} lies outside its picture: coordinates should be relative, within 0 and 1")
    pixels = [min(max(v, 0.0), 1.0) * (height if i % 2 else width) for i, v in enumerate(points)]
    box = [min(pixels[0::2]), min(pixels[1::2]), max(pixels[0::2]), max(pixels[1::2])]
    if box[2] <= box[0] or box[3] <= box[1]:
        raise DatasetError(f"{where} is an object without width or height: {line[:60]!r}")
    outline = box_outline(box) if is_box else [pixels]
    return {
        "box": box,
        "label": label,
        "crowd": False,
        "area": polygon_area(outline),
        "outline": outline,
        "has_mask": not is_box,
    }


def _corners(values: list[float]) -> list[float]:
    x, y, w, h = values
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
