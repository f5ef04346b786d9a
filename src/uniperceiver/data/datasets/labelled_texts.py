"""CSV, TSV or JSON Lines of texts with a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from uniperceiver.config import LabelledTextsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.image_list import LONGEST_NUMBER
from uniperceiver.data.datasets.image_text_pairs import read_rows
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.yolo import read_class_names
from uniperceiver.data.records import LabelledText


class LabelledTexts:
    """A text, or two, and the class per record, in file order."""

    names: tuple[str, ...]

    def __init__(self, config: LabelledTextsConfig) -> None:
        """Read the table.

        Raises:
            DatasetError: another suffix, a column that is missing, an empty cell, a class without a name, no row.
        """
        self.source = Path(config.path)
        rows = [_row(row, where, config) for where, row in read_rows(self.source)]
        if config.classes is not None:
            self.names = read_class_names(Path(config.classes))
        else:
            self.names = tuple(sorted({label for _, _, label, _ in rows}))
        self._places = {name: place for place, name in enumerate(self.names)}
        labelled = ((text, second, self._label(label, where)) for text, second, label, where in rows)
        self._rows = JsonRows(row for index, row in enumerate(labelled) if is_in_fold(index, config.fold))
        if not len(self._rows):
            raise DatasetError(f"{self.source} holds no text with a class")

    def _label(self, given: str, where: str) -> int:
        if given in self._places:
            return self._places[given]
        if given.isdecimal() and len(given) <= LONGEST_NUMBER and int(given) < len(self.names):
            return int(given)
        raise DatasetError(f"{where} has the class {given!r:.60}, which is not among the {len(self.names)} class names")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledText:
        text, second, label = self._rows[index]
        return LabelledText(text, second, str(index), label)

    def __repr__(self) -> str:
        return f"labelled_texts {self.source} ({len(self)} texts, {len(self.names)} classes)"


def _row(row: dict[str, Any], where: str, config: LabelledTextsConfig) -> tuple[str, str | None, str, str]:
    """Text, second text, class and where they stand."""
    second = None if config.second is None else filled_cell(row, config.second, where)
    return filled_cell(row, config.text, where), second, filled_cell(row, config.label, where), where


def filled_cell(row: dict[str, Any], column: str, where: str) -> str:
    """What stands in a column of a row, without blanks around it; a number as it is written.

    Raises:
        DatasetError: no such column, or nothing in it.
    """
    if column not in row:
        raise DatasetError(f"{where} has no {column!r}: it has {', '.join(map(repr, row))}; name the columns")
    given = row[column]
    text = str(given).strip() if isinstance(given, str | int) and not isinstance(given, bool) else ""
    if not text:
        raise DatasetError(f"{where} has no text in {column!r}, or an empty one: got {str(given)[:60]!r}")
    return text
