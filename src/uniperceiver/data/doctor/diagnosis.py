"""Findings are collected by kind, and counted; a few are kept word for word."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uniperceiver.data.doctor.kinds import Kind, Severity

EXAMPLES = 5
"""Findings of a kind that are kept word for word; the others are counted."""


@dataclass
class Finding:
    """All occurrences of one kind."""

    kind: Kind
    count: int = 0
    files: set[str] = field(default_factory=set)
    """Files concerned."""
    examples: list[str] = field(default_factory=list)
    """The first few: file, then what is wrong there."""


@dataclass
class Diagnosis:
    """What the doctor found."""

    root: Path
    """Files are named relative to it."""
    looked_at: list[str] = field(default_factory=list)
    """One line for each part of the data: format, file or folder, number of records."""
    left_alone: list[str] = field(default_factory=list)
    """Annotation files of no known format."""
    images: int = 0
    """Images whose headers were read."""
    _findings: dict[Kind, Finding] = field(default_factory=dict)

    def add(self, kind: Kind, file: Path | str, detail: str = "") -> None:
        """Note one occurrence in ``file``."""
        finding = self._findings.setdefault(kind, Finding(kind))
        finding.count += 1
        name = self._relative(file)
        finding.files.add(name)
        if len(finding.examples) < EXAMPLES:
            finding.examples.append(f"{name}: {detail}" if detail else name)

    def look_at(self, what: str, file: Path) -> None:
        """Say that ``file`` was looked at, and what it is."""
        self.looked_at.append(f"{what} in {self._relative(file)}")

    def leave(self, file: Path) -> None:
        """Say that ``file`` is of no known format."""
        self.left_alone.append(self._relative(file))

    def _relative(self, file: Path | str) -> str:
        path = Path(file)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(file)

    @property
    def findings(self) -> list[Finding]:
        """Errors first, then warnings, then notes; by code among themselves."""
        order = list(Severity)
        return sorted(self._findings.values(), key=lambda found: (order.index(found.kind.severity), found.kind.code))

    def count(self, severity: Severity) -> int:
        """Occurrences of all kinds of one severity."""
        return sum(finding.count for finding in self._findings.values() if finding.kind.severity is severity)

    def exit_code(self, strict: bool) -> int:
        """2 with errors; 1 with warnings if ``strict``; else 0."""
        if self.count(Severity.ERROR):
            return 2
        return 1 if strict and self.count(Severity.WARNING) else 0

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        return {
            "schema": 1,
            "root": str(self.root),
            "looked_at": self.looked_at,
            "left_alone": self.left_alone,
            "images": self.images,
            **{f"{severity.value}s": self.count(severity) for severity in Severity},
            "findings": [
                {
                    "code": finding.kind.code,
                    "severity": finding.kind.severity.value,
                    "title": finding.kind.title,
                    "mend": finding.kind.mend,
                    "count": finding.count,
                    "files": sorted(finding.files),
                    "examples": finding.examples,
                }
                for finding in self.findings
            ],
        }

    def write(self, path: Path) -> None:
        """Write `to_json` to a file."""
        text = json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files that are not UTF-8
