"""Reading annotation files, with errors that name them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from uniperceiver.config import FoldConfig


class DatasetError(ValueError):
    """A data set that cannot be used as it is; the message names the file and the record."""


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DatasetError: no such file, one that cannot be read, or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"no annotation file {path}: is its path in the configuration right?") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # a number of over 4,300 digits is a ValueError alone
        raise DatasetError(f"{path} is not valid JSON: {error}") from None


def read_json_object(path: Path, *keys: str) -> dict[str, Any]:
    """The object in a JSON file, which must hold a list under each of ``keys``.

    Raises:
        DatasetError: no such file, not JSON, or a list is missing.
    """
    content = read_json(path)
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(f"{path} should be a JSON object with a list {key!r}: is it a file of another format?")
    return content


def require_fields(entry: Any, where: str, *fields: str) -> None:
    """Check that an annotation is an object with ``fields``; ``where`` says which file and entry it is.

    Raises:
        DatasetError: it lacks one.
    """
    if not isinstance(entry, dict):
        raise DatasetError(f"{where} should be an object with {', '.join(fields)}, got {str(entry)[:60]!r}")
    missing = [field for field in fields if field not in entry]
    if missing:
        raise DatasetError(f"{where} has no {', '.join(missing)}: is the file of another format?")


def require_id(entry: dict[str, Any], field: str, where: str) -> None:
    """Check that an id is a number or a text.

    Raises:
        DatasetError: it is not.
    """
    if not isinstance(entry[field], int | str):
        raise DatasetError(f"{where} has the {field} {str(entry[field])[:60]!r}: expected a number")


def filled_text(entry: dict[str, Any], field: str, where: str) -> str:
    """The text in a field, without blanks around it.

    Raises:
        DatasetError: it is no text, or an empty one.
    """
    text = entry[field]
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{where} has an empty {field}, or one that is no text: {str(text)[:60]!r}")
    return text.strip()


def existing_picture(path: Path, source: str) -> Path:
    """``path``, once sure that the file is there; ``source`` says which annotation asks for it.

    Raises:
        DatasetError: no such file.
    """
    if not os.path.isfile(path):  # a name that no file can have is none
        raise DatasetError(f"{source} needs the picture {path}, which does not exist: is `images` the right folder?")
    return path


def read_text(path: Path, largest: int) -> str:
    """The content of a UTF-8 text file of at most ``largest`` bytes.

    Raises:
        DatasetError: no such file, larger, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > largest:
        raise DatasetError(f"{path} has more than {largest} bytes, too many for its kind of file: is it the right one?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 at byte {error.start}: convert the file to UTF-8") from None


def is_in_fold(index: int, fold: FoldConfig | None) -> bool:
    """Whether record ``index`` of a whole data set belongs to the part that ``fold`` names (None: all of it)."""
    return fold is None or (index % fold.folds == 0) == fold.held_out
