from __future__ import annotations

import re
from pathlib import Path

from uniperceiver.data.doctor import Kind

HERE = Path(__file__).parent
DOCS = Path(__file__).parents[3] / "docs" / "data.md"


def documented(kind: Kind) -> str:
    return f"| {kind.code} | {kind.severity.value} | {kind.title} | {kind.mend} |"


def test_every_kind_has_a_test_and_a_code_of_its_own() -> None:
    tested = set(re.findall(r"Kind\.([A-Z0-9_]+)", "".join(path.read_text() for path in HERE.glob("test_*.py"))))
    assert {kind.name for kind in Kind} <= tested
    assert len({kind.code for kind in Kind}) == len(Kind)


def test_the_documentation_has_the_table_of_all_kinds() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if re.match(r"\| [A-Z]\d{3} \|", line)]
    assert rows == [documented(kind) for kind in Kind]
