"""Pascal VOC: an XML file per picture, lists of pictures, and masks of objects as palette pictures."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from uniperceiver.config import VocConfig
from uniperceiver.data.datasets.annotated_pictures import AnnotatedObject, AnnotatedPictures, AnnotatedRow
from uniperceiver.data.datasets.annotation_files import DatasetError, existing_picture, is_in_fold, read_text
from uniperceiver.data.images import upright_size
from uniperceiver.data.outlines import Outline, box_outline, mask_codec

LARGEST_XML = 2**22
"""Bytes of an annotation; a picture's has a few thousand."""


class Voc(AnnotatedPictures):
    """Pictures with boxes, and with masks where ``config.masks``; classes in alphabetical order.

    Objects marked difficult are kept as crowds: not trained on, and no mistake when found, as in VOC's protocol. VOC's
    pixels are numbered from 1 and both ends of a box belong to it: xmin becomes x0 + 1, xmax becomes x1.
    """

    def __init__(self, config: VocConfig) -> None:
        """Index and check the annotations; of the pictures, only the headers are read.

        Raises:
            DatasetError: a folder or list is missing or empty, an XML file that is broken or declares entities, a box
                that is none, a class without a name.
            ImportError: without the extra ``coco``.
        """
        root = Path(config.root)
        self.has_masks = config.masks
        stems = _listed(root, config.split, config.masks)
        present = {stem: read_annotation(root / "Annotations" / f"{stem}.xml") for stem in _all_stems(root)}
        missing = [stem for stem in stems if stem not in present]
        if missing:
            raise DatasetError(
                f"{root}: the list {config.split} names {missing[0]}, but Annotations lacks its XML file"
            )
        names = _names(config.names, present)
        chosen = [stem for index, stem in enumerate(stems) if is_in_fold(index, config.fold)]
        super().__init__(root, root / "JPEGImages", names, (self._row(root, s, present[s], names) for s in chosen))

    def _row(self, root: Path, stem: str, tree: ElementTree.Element, names: tuple[str, ...]) -> AnnotatedRow:
        where = f"{root / 'Annotations' / stem}.xml"
        file = _picture_file(root, stem, tree)
        height, width = upright_size(existing_picture(root / "JPEGImages" / file, where))
        objects = [
            _object(entry, f"{where}, object {number}", names, height, width)
            for number, entry in enumerate(tree.iter("object"), start=1)
        ]
        if self.has_masks:
            existing_picture(_mask_file(root, stem), where)
        for entry in objects:
            entry["area"] = None if self.has_masks else entry["area"]
            entry["has_mask"] = self.has_masks
        return {"id": stem, "file": file, "size": [height, width], "objects": objects}

    def outlines(self, row: AnnotatedRow) -> list[Outline]:
        """The boxes, or run lengths of what ``SegmentationObject`` shows: value i is the i-th object of the XML file.

        Raises:
            DatasetError: the mask is not of the picture's size, no palette picture, or lacks an object.
        """
        if not self.has_masks:
            return super().outlines(row)
        path = _mask_file(self.source, row["id"])
        with Image.open(path) as image:
            if image.mode not in {"P", "L"} or [image.height, image.width] != row["size"]:
                raise DatasetError(f"{path} should be a palette picture of height and width {row['size']}")
            values = np.asarray(image)
        return [
            mask_codec().encode(np.asfortranarray(values == number, dtype=np.uint8))
            for number in range(1, len(row["objects"]) + 1)
        ]

    def __repr__(self) -> str:
        return f"voc {self.source} ({len(self)} pictures, {len(self.names)} classes)"


def read_annotation(path: Path) -> ElementTree.Element:
    """The XML tree of one picture.

    Raises:
        DatasetError: unreadable, too large, not XML, or with a document type: entities could expand without bound or
            read other files.
    """
    text = read_text(path, LARGEST_XML)
    if "<!DOCTYPE" in text.upper():
        raise DatasetError(f"{path} has a document type (<!DOCTYPE), which annotations do not need: remove it")
    try:
        tree = ElementTree.parse(io.StringIO(text)).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # of an encoding that is not known
        raise DatasetError(f"{path} is not valid XML: {error}") from None
    if tree.tag != "annotation":
        raise DatasetError(f"{path} should hold an <annotation>, got <{tree.tag}>: is it of another format?")
    return tree


def _all_stems(root: Path) -> list[str]:
    folder = root / "Annotations"
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}: `root` should hold Annotations and JPEGImages")
    stems = sorted(path.stem for path in folder.glob("*.xml"))
    if not stems:
        raise DatasetError(f"no XML file in {folder}")
    return stems


def _listed(root: Path, split: str | None, masks: bool) -> list[str]:
    if split is None:
        return _all_stems(root)
    path = root / "ImageSets" / ("Segmentation" if masks else "Main") / f"{split}.txt"
    stems = [line.split()[0] for line in read_text(path, LARGEST_XML).splitlines() if line.strip()]
    if not stems:
        raise DatasetError(f"{path} lists no picture")
    return stems


def _names(path: str | None, trees: dict[str, ElementTree.Element]) -> tuple[str, ...]:
    if path is not None:
        names = tuple(line.strip() for line in read_text(Path(path), LARGEST_XML).splitlines() if line.strip())
    else:
        found = {(entry.findtext("name") or "").strip() for tree in trees.values() for entry in tree.iter("object")}
        names = tuple(sorted(found - {""}))
    if not names:
        raise DatasetError("no class name: the XML files have no <object> with a <name>, or `names` is empty")
    return names


def _picture_file(root: Path, stem: str, tree: ElementTree.Element) -> str:
    """The file named by the annotation where it is there (names with folders are not followed), else STEM.jpg."""
    given = Path((tree.findtext("filename") or "").strip()).name
    return given if given and os.path.isfile(root / "JPEGImages" / given) else f"{stem}.jpg"


def _mask_file(root: Path, stem: str) -> Path:
    return root / "SegmentationObject" / f"{stem}.png"


def _object(entry: ElementTree.Element, where: str, names: tuple[str, ...], height: int, width: int) -> AnnotatedObject:
    name = (entry.findtext("name") or "").strip()
    if name not in names:
        raise DatasetError(f"{where} has the name {name!r}, which is not among the {len(names)} class names")
    corners = list(_corners(entry, where))
    x0, x1 = (min(max(x, 0.0), width) for x in (corners[0] - 1, corners[2]))
    y0, y1 = (min(max(y, 0.0), height) for y in (corners[1] - 1, corners[3]))
    if x1 <= x0 or y1 <= y0:
        raise DatasetError(f"{where} has the box {corners}, without extent in its picture of {width}x{height} pixels")
    box = [x0, y0, x1, y1]
    is_difficult = (entry.findtext("difficult") or "0").strip() == "1"
    return {
        "box": box,
        "label": names.index(name),
        "crowd": is_difficult,
        "area": (x1 - x0) * (y1 - y0),
        "outline": box_outline(box),
        "has_mask": False,
    }


def _corners(entry: ElementTree.Element, where: str) -> Iterator[float]:
    for corner in ("xmin", "ymin", "xmax", "ymax"):
        text = entry.findtext(f"bndbox/{corner}")
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DatasetError(f"{where} has the {corner} {text!r}: expected a number of pixels")
        yield value
