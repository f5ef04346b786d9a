"""CSV, TSV or JSON Lines of texts that belong together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uniperceiver.config import TextPairsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.image_text_pairs import read_rows
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.labelled_texts import filled_cell
from uniperceiver.data.records import PairedText


class TextPairs:
    """A text with its partners per record, in the order in which texts first occur."""

    def __init__(self, config: TextPairsConfig) -> None:
        """Read the table; rows of one text are joined.

        Raises:
            DatasetError: another suffix, a column that is missing, an empty cell, no row.
        """
        self.source = Path(config.path)
        partners: dict[str, dict[str, None]] = {}
        for where, row in read_rows(self.source):
            text = filled_cell(row, config.text, where)
            partners.setdefault(text, {}).update(dict.fromkeys(_partners(row, config.partner, where)))
        rows = ((text, list(found)) for text, found in partners.items())
        self._rows = JsonRows(row for index, row in enumerate(rows) if is_in_fold(index, config.fold))
        if not len(self._rows):
            raise DatasetError(f"{self.source} holds no pair of texts")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> PairedText:
        text, partners = self._rows[index]
        return PairedText(text, str(index), tuple(partners))

    def texts(self) -> Iterator[str]:
        """Every text and every partner."""
        for index in range(len(self)):
            text, partners = self._rows[index]
            yield from (text, *partners)

    def __repr__(self) -> str:
        return f"text_pairs {self.source} ({len(self)} texts)"


def _partners(row: dict[str, Any], column: str, where: str) -> Iterator[str]:
    given = row.get(column)
    if not isinstance(given, list):
        yield filled_cell(row, column, where)
        return
    if not given:
        raise DatasetError(f"{where} has an empty list in {column!r}")
    for entry in given:
        yield filled_cell({column: entry}, column, where)
