"""The tasks of the GLUE benchmark, from the TSV files that are published."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uniperceiver.config import FoldConfig, GlueConfig, GlueName
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.records import LabelledText

LONGEST_LINE = 2**20
"""Characters of a line; more is no row of GLUE."""
MOST_SIMILAR = 5.0
"""The largest similarity of STS-B."""


@dataclass(frozen=True)
class Column:
    """Where a column stands, from 0 (-1: last), and what the header calls it."""

    place: int
    name: str


@dataclass(frozen=True)
class GlueFormat:
    """The columns of a task's files, and its classes."""

    text: Column
    second: Column | None
    label: Column
    names: tuple[str, ...]
    labels: tuple[str, ...] = ("0", "1")
    """How the files write the classes, in the order of ``names``; none where they give a similarity."""
    has_broken_rows: bool = False
    """The published files have rows of too few columns, which everybody leaves out."""


_ENTAILMENT = ("not_entailment", "entailment")

FORMATS: dict[GlueName, GlueFormat] = {
    "cola": GlueFormat(Column(3, "sentence"), None, Column(1, "label"), ("unacceptable", "acceptable")),
    "sst2": GlueFormat(Column(0, "sentence"), None, Column(1, "label"), ("negative", "positive")),
    "mrpc": GlueFormat(
        Column(3, "#1 String"), Column(4, "#2 String"), Column(0, "Quality"), ("not_equivalent", "equivalent")
    ),
    "qqp": GlueFormat(
        Column(3, "question1"),
        Column(4, "question2"),
        Column(5, "is_duplicate"),
        ("not_duplicate", "duplicate"),
        has_broken_rows=True,
    ),
    "stsb": GlueFormat(
        Column(7, "sentence1"), Column(8, "sentence2"), Column(9, "score"), ("unrelated", "equivalent"), ()
    ),
    "mnli": GlueFormat(
        Column(8, "sentence1"),
        Column(9, "sentence2"),
        Column(-1, "gold_label"),
        ("contradiction", "neutral", "entailment"),
        ("contradiction", "neutral", "entailment"),
    ),
    "qnli": GlueFormat(Column(1, "question"), Column(2, "sentence"), Column(3, "label"), _ENTAILMENT, _ENTAILMENT),
    "rte": GlueFormat(Column(1, "sentence1"), Column(2, "sentence2"), Column(3, "label"), _ENTAILMENT, _ENTAILMENT),
    "wnli": GlueFormat(Column(1, "sentence1"), Column(2, "sentence2"), Column(3, "label"), _ENTAILMENT),
}
"""Class names are those of the Hugging Face copies; STS-B's two are the ends of its scale."""


class Glue:
    """One sentence, or two, and the class per record, in file order."""

    names: tuple[str, ...]

    def __init__(self, config: GlueConfig) -> None:
        """Read a TSV file with or without its header.

        Rows of QQP with missing columns, which the published file has, are left out with one warning.

        Raises:
            DatasetError: no such file, not UTF-8, a row of another number of columns, an unknown label, no row.
        """
        self.source = Path(config.path)
        self.task = config.task
        self.names = FORMATS[config.task].names
        self._rows = JsonRows(_in_fold(read_glue(self.source, config.task), config.fold))
        if not len(self._rows):
            raise DatasetError(f"{self.source} holds no row of {config.task}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledText:
        number, text, second, label = self._rows[index]
        return LabelledText(text, second, f"line {number}", label)

    def __repr__(self) -> str:
        return f"glue {self.task} {self.source} ({len(self)} rows)"


Row = tuple[int, str, str | None, float]
"""Number of the line, text, second text, label."""


def _in_fold(rows: Iterator[Row], fold: FoldConfig | None) -> Iterator[Row]:
    return (row for index, row in enumerate(rows) if is_in_fold(index, fold))


def read_glue(source: Path, task: GlueName) -> Iterator[Row]:
    """The rows of a file, as `Glue` reads them.

    Raises:
        DatasetError: as `Glue`.
    """
    form = FORMATS[task]
    wanted = 0
    broken: list[int] = []
    for number, cells in read_cells(source):
        if number == 1:
            wanted = len(cells)
            _check_columns(cells, form, f"{source}, line 1")
            if cells[form.label.place] == form.label.name:
                continue
        if len(cells) != wanted and form.has_broken_rows:
            broken.append(number)
        elif len(cells) != wanted:
            raise DatasetError(f"{source}, line {number} has {len(cells)} columns, line 1 has {wanted}")
        else:
            yield _row(number, cells, form, f"{source}, line {number}")
    if broken:
        message = f"{source}: {len(broken)} rows without all columns are left out, the first in line {broken[0]}"
        warnings.warn(message, stacklevel=2)


def read_cells(source: Path) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and cells of every line that is not blank. GLUE's files quote nothing.

    Raises:
        DatasetError: no such file, not UTF-8, a line that is too long.
    """
    try:
        with source.open(encoding="utf-8-sig", newline="\n") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise DatasetError(f"{source}, line {number} is longer than {LONGEST_LINE} characters")
                if line.strip():
                    yield number, line.rstrip("\r\n").split("\t")
    except OSError as error:
        raise DatasetError(f"cannot read {source}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not UTF-8 ({error.reason}): convert the file to UTF-8") from None


def _check_columns(cells: list[str], form: GlueFormat, where: str) -> None:
    columns = [column for column in (form.text, form.second, form.label) if column is not None]
    if len(cells) <= max(column.place for column in columns):
        listed = ", ".join(f"{column.name} in column {column.place + 1 or 'last'}" for column in columns)
        raise DatasetError(
            f"{where} has {len(cells)} columns; expected {listed}. Test files of GLUE have no labels: give train or dev"
        )


def _row(number: int, cells: list[str], form: GlueFormat, where: str) -> Row:
    second = None if form.second is None else cells[form.second.place].strip()
    return number, cells[form.text.place].strip(), second, _label(cells[form.label.place].strip(), form, where)


def _label(given: str, form: GlueFormat, where: str) -> float:
    if given in form.labels:
        return float(form.labels.index(given))
    if form.labels:
        raise DatasetError(f"{where} has the label {given[:40]!r}: expected {' or '.join(form.labels)}")
    try:
        similarity = float(given)
    except ValueError:
        similarity = math.nan
    if not 0 <= similarity <= MOST_SIMILAR:
        raise DatasetError(f"{where} has the score {given[:40]!r}: expected a number from 0 to {MOST_SIMILAR:g}")
    return similarity / MOST_SIMILAR
