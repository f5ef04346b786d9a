from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from uniperceiver.cli.data import app


def test_compose_says_what_it_wrote(tmp_path: Path) -> None:
    out = tmp_path / "composed"
    arguments = ["compose", "--images", "2", "--size", "64", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = result.output.replace("\n", "")
    assert all(str(file) in said for file in (out / "annotations").iterdir())
    assert len(list((out / "images").rglob("*.png"))) == 4


def test_compose_writes_clips(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="encodes them")
    out = tmp_path / "composed"
    arguments = ["compose", "--images", "1", "--clips", "4", "--size", "64", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = result.output.replace("\n", "")
    lists = sorted(out.glob("clips/motion*"))
    assert len(lists) == 6
    assert all(str(file) in said for file in lists)
    assert len(list((out / "clips" / "videos").rglob("*.mkv"))) == 6
