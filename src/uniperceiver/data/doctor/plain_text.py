"""Plain text: one text a line."""

from __future__ import annotations

from pathlib import Path

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.parts import Part, split_of
from uniperceiver.data.doctor.texts import TextCheck, read_text


def check_plain_text(source: Path, root: Path, diagnosis: Diagnosis) -> list[Part]:
    """Look at the lines of a file; blank lines are no texts."""
    check = TextCheck(source, diagnosis)
    lines = [line for line in read_text(source, diagnosis).splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        check.look_at(line, f"text {number}")
    return [Part("plain text", source, split_of(source, root), records=len(lines))]
