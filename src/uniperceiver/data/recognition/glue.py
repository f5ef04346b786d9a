"""GLUE's TSV files recognised by their columns."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from uniperceiver.config import GlueConfig, GlueName
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.glue import FORMATS, GlueFormat, read_cells
from uniperceiver.data.recognition.found import Part, split_along

LOOKED_FOR = "GLUE's columns, in .tsv files"


def glue_parts(folder: Path) -> list[Part]:
    """The training and development files of a GLUE task in a folder; of MNLI's two of the latter, the matched one."""
    files = [file for file in sorted(folder.glob("*.tsv")) if file.is_file() and "mismatched" not in file.name]
    return [part for part in map(glue_part, files) if part is not None]


def glue_part(file: Path) -> Part | None:
    """A file as a task of GLUE; None where it is none, or has no labels."""
    task = _task_of(file) if file.suffix.lower() == ".tsv" else None
    if task is None:
        return None
    config = GlueConfig(str(file), task)
    return Part(config, file, split_along(file), config.kind)


def _task_of(file: Path) -> GlueName | None:
    try:
        rows = [cells for _, cells in islice(read_cells(file), 2)]
    except DatasetError:
        return None  # a table of something else; whoever reads it says what is wrong
    if len(rows) < 2:
        return None
    if len(rows[0]) == 4 and all(cells[1] in {"0", "1"} and cells[2] in {"", "*"} for cells in rows if len(cells) == 4):
        return "cola"
    return next((task for task, form in FORMATS.items() if _fits(rows[0], rows[1], form)), None)


def _fits(header: list[str], row: list[str], form: GlueFormat) -> bool:
    """Whether a header has a task's columns, and the row below it a label; RTE and WNLI differ in the labels alone."""
    columns = [column for column in (form.text, form.second, form.label) if column is not None]
    if len(row) < len(header) or any(len(header) <= column.place for column in columns):
        return False
    has_columns = all(header[column.place] == column.name for column in columns)
    return has_columns and (not form.labels or row[form.label.place] in form.labels)
