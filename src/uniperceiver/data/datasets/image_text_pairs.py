"""CSV, TSV or JSON Lines of pictures and texts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uniperceiver.config import ImageTextPairsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, existing_picture
from uniperceiver.data.datasets.captioned_pictures import CaptionedPictures, CaptionedRow

LONGEST_LINE = 2**20
"""Bytes of a line; more is no caption but a broken file."""
TABLE_SUFFIXES = {".csv": ",", ".tsv": "\t"}
LINES_SUFFIXES = frozenset({".jsonl", ".ndjson"})


def open_image_text_pairs(config: ImageTextPairsConfig) -> CaptionedPictures:
    """Pictures with the texts of their rows, in the order in which they first occur.

    Raises:
        DatasetError: another suffix, a column that is missing, an empty cell, a line that is too long or not JSON, a
            missing picture.
    """
    source, folder = Path(config.path), Path(config.images)
    captions: dict[str, list[str]] = {}
    for where, row in read_rows(source):
        missing = [column for column in (config.image, config.text) if column not in row]
        if missing:
            raise DatasetError(f"{where} has no {missing[0]!r}: it has {', '.join(map(repr, row))}; name the columns")
        file = str(row[config.image] or "").strip()
        if not file:
            raise DatasetError(f"{where} has an empty {config.image!r}")
        captions.setdefault(file, []).extend(texts_of(row[config.text], where, config.text))
    return CaptionedPictures(source, folder, _rows(captions, source, folder), config.fold)


def _rows(captions: dict[str, list[str]], source: Path, folder: Path) -> Iterator[CaptionedRow]:
    for file, texts in captions.items():
        existing_picture(folder / file, str(source))
        yield file, file, texts


def read_rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV or TSV file with a header, or of a JSON Lines file, each with where it stands.

    Raises:
        DatasetError: as `open_image_text_pairs`.
    """
    suffix = source.suffix.lower()
    if suffix not in LINES_SUFFIXES and suffix not in TABLE_SUFFIXES:
        raise DatasetError(f"{source} should end in .csv, .tsv or .jsonl")
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            lines = _bounded(file, source)
            if suffix in LINES_SUFFIXES:
                yield from _json_lines(lines, source)
            else:
                yield from _table(lines, source, TABLE_SUFFIXES[suffix])
    except OSError as error:
        raise DatasetError(f"cannot read {source}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not UTF-8 ({error.reason}): convert the file to UTF-8") from None


def _bounded(file: Any, source: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DatasetError(f"{source}, line {number} is longer than {LONGEST_LINE} characters")
        yield line


def _table(lines: Iterator[str], source: Path, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) < len(header) or not header:
            raise DatasetError(f"{source}, line 1 should name the columns, each once; got {header}")
        for cells in reader:
            where = f"{source}, line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise DatasetError(f"{where} has {len(cells)} cells, but there are {len(header)} columns")
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DatasetError(f'{source}, line {reader.line_num}: {error}; quote the texts with "') from None


def _json_lines(lines: Iterator[str], source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        where = f"{source}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{where} is not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{where} should be a JSON object, got {line[:40]!r}")
        yield where, row


def texts_of(given: Any, where: str, column: str) -> list[str]:
    """The texts in a cell, one or a list of them; DatasetError where there is none or one is empty."""
    texts = [text.strip() for text in (given if isinstance(given, list) else [given]) if isinstance(text, str)]
    if not texts or not all(texts) or (isinstance(given, list) and len(texts) < len(given)):
        raise DatasetError(f"{where} has no text in {column!r}, or an empty one: got {str(given)[:60]!r}")
    return texts
