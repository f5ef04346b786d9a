"""Pairs of an image and a text: CSV, TSV, JSON Lines, or a JSON list of objects."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from uniperceiver.data.datasets.image_text_pairs import LINES_SUFFIXES
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, folder_with, split_of
from uniperceiver.data.doctor.texts import TextCheck, read_text

IMAGE_COLUMNS = (
    "image", "image_path", "img_path", "filepath", "file_path", "filename", "file_name", "path", "file", "img",
)  # fmt: skip
TEXT_COLUMNS = ("caption", "captions", "text", "title", "sentence", "raw", "comment", "sentences", "description")
Rows = Sequence[tuple[str, dict[str, Any]]]
"""Where a row stands, and its fields."""


def read_rows(path: Path, diagnosis: Diagnosis) -> Rows | None:
    """The rows of a table or of JSON Lines; None where it has no column of images and of texts."""
    text = read_text(path, diagnosis)
    try:
        read = _json_lines if path.suffix.lower() in LINES_SUFFIXES else _table
        rows = read(text, path, diagnosis)
    except csv.Error as error:
        diagnosis.add(Kind.UNREADABLE_FILE, path, f"no table: {error}")
        return None
    return rows if rows == [] or any(has_pair(row) for _, row in rows or ()) else None


def _table(text: str, path: Path, diagnosis: Diagnosis) -> list[tuple[str, dict[str, Any]]] | None:
    first = text.partition("\n")[0]
    lines = csv.reader(_lines(text), delimiter="\t" if "\t" in first else ",")
    header = [name.strip().lower() for name in next(lines, [])]
    if not has_pair(header):
        return None
    rows = []
    for values in lines:
        if len(values) == len(header):
            rows.append((f"line {lines.line_num}", dict(zip(header, values, strict=True))))
        elif values:
            said = f"line {lines.line_num} has {len(values)} columns, the header {len(header)}"
            diagnosis.add(Kind.BAD_ENTRY, path, said)
    return rows


def _lines(text: str) -> Iterable[str]:
    """The lines as the readers part them: texts may hold what Unicode calls a line's end."""
    return io.StringIO(text, newline="")


def _json_lines(text: str, path: Path, diagnosis: Diagnosis) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            diagnosis.add(Kind.BAD_ENTRY, path, f"line {number} is not JSON: {error}")
            continue
        if isinstance(row, dict):
            rows.append((f"line {number}", row))
        else:
            diagnosis.add(Kind.BAD_ENTRY, path, f"line {number} is no object")
    return rows


def has_pair(row: Sequence[str] | dict[str, Any]) -> bool:
    """Whether a row or header has a column of images and one of texts."""
    return any(name in row for name in IMAGE_COLUMNS) and any(name in row for name in TEXT_COLUMNS)


def check_pairs(rows: Rows, source: Path, root: Path, images: Path | None, diagnosis: Diagnosis) -> list[Part]:
    """Look at the rows of a file."""
    part = Part("image-text pairs", source, split_of(source, root), records=len(rows))
    captions: dict[str, list[str]] = defaultdict(list)
    for where, row in rows:
        image = next((row[name] for name in IMAGE_COLUMNS if name in row), None)
        text = next((row[name] for name in TEXT_COLUMNS if name in row), None)
        said = text if isinstance(text, list) else [text]
        if not isinstance(image, str) or not image.strip() or not all(isinstance(one, str) for one in said):
            diagnosis.add(Kind.BAD_ENTRY, source, f"{where}: image {image!r}, text {str(text)[:40]!r}")
        else:
            captions[image.strip()] += map(str, said)
    folder = folder_with(list(captions), source, root, images)
    texts = TextCheck(source, diagnosis)
    for name, said in captions.items():
        if os.path.isfile(folder / name):
            part.images[folder / name] = None
            part.folder = folder
        else:
            diagnosis.add(Kind.MISSING_IMAGE, folder / name, f"of {source.name}")
        texts.look_at_captions(said, name)
    texts.finish()
    return [part]
