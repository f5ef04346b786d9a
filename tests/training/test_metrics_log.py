"""The log of a training: every step in the file, some of them on the screen."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from uniperceiver.training.metrics_log import MetricsLog, StepReport


def report(step: int) -> StepReport:
    return StepReport(
        step=step,
        stream="coco",
        losses={"names": 1.0, "box": 0.5},
        loss=1.5,
        gradient_norm=2.0,
        learning_rate=1e-4,
        examples=8,
        seconds=2.0,
        elapsed=2.0 * step,
    )


def test_every_step_is_in_the_file_and_first_every_third_and_last_on_the_screen(tmp_path: Path) -> None:
    screen = io.StringIO()
    log = MetricsLog(tmp_path, every=3, console=Console(file=screen, width=200))
    for step in range(1, 9):
        log.step(report(step), progress=step / 8)
    log.close()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert rows[0]["losses"] == {"names": 1.0, "box": 0.5}
    assert rows[0]["memory_gb"] > 0
    lines = screen.getvalue().splitlines()
    assert [int(line.split()[1]) for line in lines] == [1, 3, 6, 8]
    assert all("loss 1.500 (names 1.000 box 0.500)" in line and "4.0 ex/s" in line for line in lines)
    assert "0:00:14 left" in lines[0]
    assert "0:00:00 left" in lines[-1]


def test_a_resumed_training_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for step in (1, 2):
        log = MetricsLog(tmp_path, every=1, console=Console(file=io.StringIO()))
        log.step(report(step), progress=0.5)
        log.close()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
