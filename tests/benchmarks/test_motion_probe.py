"""The probe of clips runs on a handful of them."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "motion_probe.py"


def test_three_ways_of_looking_are_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--clips", "12"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["in order", "in random order", "middle"]
    assert all(re.fullmatch(r"\d+\.\d%", line.partition(": ")[2]) for line in lines)
