"""Pictures with captions, whatever format they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from uniperceiver.config import FoldConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import read_image
from uniperceiver.data.records import CaptionedImage

CaptionedRow = tuple[str, str, list[str]]
"""Picture id, file, captions."""


class CaptionedPictures:
    """Pictures with captions, in the order of their annotations."""

    def __init__(self, source: Path, folder: Path, rows: Iterable[CaptionedRow], fold: FoldConfig | None) -> None:
        """Keep the rows of ``fold``; ``source`` is what errors name, ``folder`` where the files of the rows lie.

        Raises:
            DatasetError: no row is left.
        """
        self.source = source
        self.folder = folder
        self._rows = JsonRows(row for index, row in enumerate(rows) if is_in_fold(index, fold))
        if not len(self._rows):
            raise DatasetError(f"{source} holds no picture with a caption")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> CaptionedImage:
        image_id, file, captions = self._rows[index]
        return CaptionedImage(read_image(self.folder / file), image_id, tuple(captions))

    def texts(self) -> Iterator[str]:
        """Every caption, without reading a picture."""
        for index in range(len(self)):
            yield from self._rows[index][2]

    def __repr__(self) -> str:
        return f"pictures with captions of {self.source} ({len(self)} pictures)"
