"""Reading JSON files that may be broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.texts import read_text


def read_json(path: Path, diagnosis: Diagnosis) -> Any:
    """What a JSON file holds; None, and a finding, when it is not JSON."""
    try:
        return json.loads(read_text(path, diagnosis))
    except (ValueError, RecursionError) as error:
        diagnosis.add(Kind.UNREADABLE_FILE, path, f"not JSON: {error}")
        return None


def entries(content: dict[str, Any], key: str, fields: tuple[str, ...], path: Path, diagnosis: Diagnosis) -> list[Any]:
    """The objects in the list ``content[key]`` that have all of ``fields``; the others are findings."""
    rows = content.get(key)
    if not isinstance(rows, list):
        diagnosis.add(Kind.BAD_ENTRY, path, f"has no list {key!r}")
        return []
    complete = []
    for position, row in enumerate(rows):
        missing = [field for field in fields if not isinstance(row, dict) or field not in row]
        if missing:
            diagnosis.add(Kind.BAD_ENTRY, path, f"{key}[{position}] has no {', '.join(missing)}")
        else:
            complete.append(row)
    return complete


def is_count(value: Any) -> bool:
    """Whether a JSON value is a whole number, which an id or a side should be."""
    return isinstance(value, int) and not isinstance(value, bool)
