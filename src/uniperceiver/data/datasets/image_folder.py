"""One folder of pictures per class."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from uniperceiver.config import FoldConfig, ImageFolderConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import PICTURE_SUFFIXES, read_image
from uniperceiver.data.records import LabelledImage


class ImageFolder:
    """Labelled pictures; the class is the folder directly below ``root``, at whatever depth the picture lies in it.

    Classes are ordered as in the CSV of names, else by folder name; pictures by class, then by path. Files whose suffix
    is not a picture's are left alone, and so are hidden folders.
    """

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    """Other names of each class; training draws among all."""

    def __init__(self, config: ImageFolderConfig) -> None:
        """List the pictures.

        Raises:
            DatasetError: no such folder, no picture, a class folder that the CSV lacks, or a malformed CSV.
        """
        self.root = Path(config.root)
        if not self.root.is_dir():
            raise DatasetError(f"no folder {self.root}: `root` should hold one folder of pictures per class")
        present = [path.name for path in class_folders(self.root)]
        named = {folder: (folder,) for folder in present} if config.names is None else read_names(Path(config.names))
        unnamed = [folder for folder in present if folder not in named]
        if unnamed:
            raise DatasetError(f"{config.names} gives no name for the class folders {unnamed[:5]} of {self.root}")
        self.names = tuple(names[0] for names in named.values())
        self.synonyms = tuple(names[1:] for names in named.values())
        self._rows = JsonRows(self._index(list(named), config.fold))
        if not len(self._rows):
            raise DatasetError(
                f"no picture in the class folders of {self.root} (of {', '.join(sorted(PICTURE_SUFFIXES))})"
            )

    def _index(self, folders: list[str], fold: FoldConfig | None) -> Iterator[tuple[str, int]]:
        number = 0
        for label, folder in enumerate(folders):
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix.lower() not in PICTURE_SUFFIXES:
                    continue
                if is_in_fold(number, fold):
                    yield str(path.relative_to(self.root)), label
                number += 1

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledImage:
        file, label = self._rows[index]
        return LabelledImage(read_image(self.root / file), file, label)

    def __repr__(self) -> str:
        return f"image_folder {self.root} ({len(self)} pictures, {len(self.names)} classes)"


def class_folders(root: Path) -> list[Path]:
    """The folders directly below ``root`` by name, but for hidden ones, as programs leave them behind."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_names(path: Path) -> dict[str, tuple[str, ...]]:
    """Folder → readable name, in file order, from a CSV with a header and two columns.

    With a third column in the header, a row may have any number of cells more, the synonyms of the name.

    Raises:
        DatasetError: no such file, another number of columns, an empty cell, or a folder named twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [*csv.reader(file)] or [[]]
    except OSError as error:
        raise DatasetError(f"cannot read the class names {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error.reason}): convert the file to UTF-8") from None
    except csv.Error as error:
        raise DatasetError(f"{path} is no table of class names: {error}") from None
    names: dict[str, tuple[str, ...]] = {}
    for line, row in enumerate(rows, start=2):
        cells = [cell.strip() for cell in row]
        if len(header) > 2:  # spreadsheets fill short rows with empty cells
            cells = [*cells[:2], *filter(None, cells[2:])]
        if len(cells) < 2 or not all(cells) or len(cells) > 2 >= len(header):
            raise DatasetError(
                f"{path}, line {line}: expected folder,name, got {','.join(row)!r}; synonyms are for a header of "
                "three columns"
            )
        folder, *given = cells
        if folder in names:
            raise DatasetError(f"{path}, line {line}: the folder {folder!r} is named twice")
        names[folder] = tuple(given)
    return names
