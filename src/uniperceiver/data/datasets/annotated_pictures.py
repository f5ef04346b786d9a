"""Pictures with objects, whatever format the annotations came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import read_image
from uniperceiver.data.outlines import Outline, encode_outline, mask_codec
from uniperceiver.data.records import AnnotatedImage, ObjectReference, OutlinedImage


class AnnotatedObject(TypedDict):
    """One object as it is kept."""

    box: list[float]
    """(x0, y0, x1, y1) in pixels, inside the picture."""
    label: int
    crowd: bool
    area: float | None
    """In pixels, as annotated; None: that of the mask."""
    outline: Outline
    has_mask: bool
    """False: only the box is known, and the outline is the box."""


class AnnotatedRow(TypedDict):
    """One picture as it is kept."""

    id: str
    file: str
    size: list[int]
    """Height and width."""
    objects: list[AnnotatedObject]


class AnnotatedPictures:
    """Pictures with their objects, those without objects included."""

    names: tuple[str, ...]

    def __init__(self, source: Path, folder: Path, names: tuple[str, ...], rows: Iterable[AnnotatedRow]) -> None:
        """Keep ``rows``; ``source`` is what errors name, ``folder`` where the files of the rows lie.

        Raises:
            ImportError: without the extra ``coco``.
            DatasetError: two pictures have one id.
        """
        mask_codec()
        self.source = source
        self.folder = folder
        self.names = names
        self._index_of_id: dict[str, int] = {}
        self._rows = JsonRows(self._numbered(rows))

    def _numbered(self, rows: Iterable[AnnotatedRow]) -> Iterator[AnnotatedRow]:
        for index, row in enumerate(rows):
            if self._index_of_id.setdefault(row["id"], index) != index:
                raise DatasetError(f"{self.source}: two pictures have the id {row['id']}")
            yield row

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> OutlinedImage:
        row: AnnotatedRow = self._rows[index]
        image = read_image(self.folder / row["file"])
        height, width = row["size"]
        if tuple(image.shape[1:]) != (height, width):
            raise DatasetError(
                f"{self.source} says that {row['file']} (image {row['id']}) has height {height} and width {width}, but "
                f"upright it has {image.shape[1]} and {image.shape[2]}"
            )
        objects = row["objects"]
        return OutlinedImage(
            image=image,
            image_id=row["id"],
            boxes=torch.tensor([entry["box"] for entry in objects], dtype=torch.float32).reshape(-1, 4),
            outlines=tuple(self.outlines(row)),
            labels=torch.tensor([entry["label"] for entry in objects], dtype=torch.int64),
            has_mask=torch.tensor([entry["has_mask"] for entry in objects], dtype=torch.bool),
            is_crowd=torch.tensor([entry["crowd"] for entry in objects], dtype=torch.bool),
            original_size=(height, width),
        )

    def outlines(self, row: AnnotatedRow) -> list[Outline]:
        """The outlines of a picture's objects."""
        return [entry["outline"] for entry in row["objects"]]

    def objects(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Boxes (n, 4) relative to their picture, in [0, 1], and labels (n,) of each picture; no crowds, no pixels."""
        for index in range(len(self)):
            row: AnnotatedRow = self._rows[index]
            height, width = row["size"]
            known = [entry for entry in row["objects"] if not entry["crowd"]]
            boxes = np.array([entry["box"] for entry in known], dtype=np.float64).reshape(-1, 4)
            yield boxes / [width, height, width, height], np.array([e["label"] for e in known], dtype=np.int64)

    def reference(self, record: AnnotatedImage | OutlinedImage) -> ObjectReference:
        """What was annotated of a record of this data set, however the record has been transformed since."""
        row: AnnotatedRow = self._rows[self._index_of_id[record.image_id]]
        objects, (height, width) = row["objects"], row["size"]
        masks = [
            encode_outline(outline, height, width) if entry["has_mask"] else None
            for entry, outline in zip(objects, self.outlines(row), strict=True)
        ]
        areas = [
            float(mask_codec().area(mask)) if entry["area"] is None else entry["area"]
            for entry, mask in zip(objects, masks, strict=True)
        ]
        return ObjectReference(
            image_id=row["id"],
            size=(height, width),
            boxes=np.array([entry["box"] for entry in objects], dtype=np.float64).reshape(-1, 4),
            masks=masks,
            labels=np.array([entry["label"] for entry in objects], dtype=np.int64),
            is_crowd=np.array([entry["crowd"] for entry in objects], dtype=bool),
            areas=np.array(areas, dtype=np.float64),
        )
