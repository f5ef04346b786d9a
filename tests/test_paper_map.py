"""docs/paper_map.md names a home for every equation; here every home is imported and must name its equation."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROWS = re.findall(
    r"^\| (?P<what>[^|]+?) \| `(?P<file>[\w/]+\.py)` `(?P<symbol>[\w.]+)` \|",
    (Path(__file__).parents[1] / "docs" / "paper_map.md").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)


def test_the_map_has_every_equation() -> None:
    """Eq. (1) to (9) and MT-AdamW have a row."""
    text = " ".join(what for what, _, _ in ROWS)
    assert all(f"Eq. ({number})" in text for number in range(1, 10))
    assert "MT-AdamW" in text


@pytest.mark.parametrize(("what", "file", "symbol"), ROWS, ids=[symbol for _, _, symbol in ROWS])
def test_the_home_names_its_equation(what: str, file: str, symbol: str) -> None:
    """The symbol exists and its docstring, or its class's, names the equation."""
    module = importlib.import_module("uniperceiver." + file.removesuffix(".py").replace("/", "."))
    home: object = module
    docstring = ""
    for name in symbol.split("."):
        home = getattr(home, name)
        docstring += home.__doc__ or ""
    for mark in re.findall(r"Eq\. \(\d\)|Sec\. [\d.]*\d|MT-AdamW", what):
        assert mark in docstring, f"{file} {symbol} does not name {mark}"
