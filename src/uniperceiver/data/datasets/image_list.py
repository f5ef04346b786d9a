"""Pictures with a class, listed as lines ``path class``: ImageNet's ``meta/train.txt`` and ``meta/val.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uniperceiver.config import ImageListConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, existing_picture, is_in_fold, read_text
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.yolo import read_class_names
from uniperceiver.data.images import PICTURE_SUFFIXES, read_image
from uniperceiver.data.records import LabelledImage

LARGEST_LIST = 2**28
"""Bytes of a list of pictures; that of ImageNet-1k has some 45 MB."""
LONGEST_NUMBER = 9
"""Digits of a class number."""
LONGEST_LINE = 2**13
"""Characters of a line that `first_listed` reads."""


def listed(line: str) -> tuple[str, int] | None:
    """The path and the class number of a line; None: it has another form."""
    file, _, label = line.strip().rpartition(" ")
    if not file or not label.isdecimal() or len(label) > LONGEST_NUMBER:
        return None
    return file, int(label)


def first_listed(file: Path, number: int) -> list[str]:
    """The paths in the first ``number`` lines that are not blank; none unless all are of pictures with a class."""
    found: list[str] = []
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        while len(found) < number and (line := lines.readline(LONGEST_LINE)):
            row = listed(line)
            if row is not None and Path(row[0]).suffix.lower() in PICTURE_SUFFIXES:
                found.append(row[0])
            elif line.strip():
                return []
    return found


class ImageList:
    """Labelled pictures, in the order of the list."""

    names: tuple[str, ...]

    def __init__(self, config: ImageListConfig) -> None:
        """Index the list and find the files.

        Raises:
            DatasetError: an unreadable or empty list, a line of another form, a class without a name, a missing file.
        """
        self.source, self.folder = Path(config.path), Path(config.images)
        self.names = read_class_names(Path(config.classes))
        rows = self._index()
        self._rows = JsonRows(row for number, row in enumerate(rows) if is_in_fold(number, config.fold))
        if not len(self._rows):
            raise DatasetError(f"{self.source} lists no picture")

    def _index(self) -> Iterator[tuple[str, int]]:
        for number, line in enumerate(read_text(self.source, LARGEST_LIST).splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{self.source}, line {number}"
            row = listed(line)
            if row is None:
                raise DatasetError(f"{where}: expected a path and a class number, got {line[:60]!r}")
            file, label = row
            if label >= len(self.names):
                raise DatasetError(f"{where} has class {label}, but there are {len(self.names)} class names")
            existing_picture(self.folder / file, where)
            yield file, label

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledImage:
        file, label = self._rows[index]
        return LabelledImage(read_image(self.folder / file), file, label)

    def __repr__(self) -> str:
        return f"image_list {self.source} ({len(self)} pictures, {len(self.names)} classes)"
