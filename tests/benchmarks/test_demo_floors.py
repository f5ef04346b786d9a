"""The list of floors, read from reports as `uniperceiver demo` writes them."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "demo_floors.py"


def write_report(path: Path, value: float, trivial: float) -> Path:
    """A report in which every figure is ``value``."""
    streams: defaultdict[str, dict[str, dict[str, float]]] = defaultdict(lambda: {"metrics": {}, "baselines": {}})
    for goal in runpy.run_path(str(SCRIPT))["GOALS"]:
        streams[goal.stream]["metrics"][goal.metric] = value
        streams[goal.stream]["baselines"][goal.metric] = trivial
    path.parent.mkdir()
    path.write_text(json.dumps({"streams": streams}))
    return path


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (0.5, 1)])
def test_floors_are_held_against_the_mean_of_the_seeds(tmp_path: Path, value: float, code: int) -> None:
    reports = [write_report(tmp_path / f"seed{n}" / "report.json", value - 0.01 * n, trivial=0.2) for n in (0, 1)]
    ended = subprocess.run([sys.executable, SCRIPT, *reports], check=False, capture_output=True, text=True)
    assert ended.returncode == code
    lines = {line.split(" | ")[0].strip("| "): line for line in ended.stdout.splitlines()}
    assert "| seed0 | seed1 | mean |" in lines["figure"]
    assert f"**{100 * value - 0.5:.1f}** ± 0.7" in lines["masked words"]
    assert lines["masked words"].endswith("| aim |")
    assert "20.0 (trivial)" in lines["held-out names: box AP50"]
    assert ("below the floor: box AP50;" in ended.stderr) == (code == 1)
