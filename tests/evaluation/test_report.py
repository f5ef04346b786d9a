from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from uniperceiver.evaluation.report import StreamReport, report_json, report_table, write_report
from uniperceiver.evaluation.scoring import EvaluationResult

STREAMS = {
    "coco": StreamReport(
        "detection",
        "coco_instances (5 pictures)",
        EvaluationResult(
            metrics={"box_ap50": 0.5, "box_ap": 0.253, "box_ap_large": float("nan")},
            baselines={"box_ap": 0.01},
            main="box_ap",
            count=5,
            unit="images",
            protocol="COCO.",
            per_class={"cat": 0.25},
        ),
    )
}


def test_table_shows_percent_baselines_and_counts_main_metric_first() -> None:
    console = Console(record=True, width=120, file=StringIO())
    console.print(report_table("tiny", STREAMS))
    lines = [line for line in console.export_text().splitlines() if "box_ap" in line]
    assert [word in lines[0] for word in ("coco", "25.3", "1.0", "5 images")] == [True] * 4
    assert "50.0" in lines[1]
    assert "–" in lines[2]


def test_json_has_fractions_and_null_where_undefined() -> None:
    content = report_json("tiny", STREAMS, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert content["date"] == "2026-01-02T03:04:05+00:00"
    stream = content["streams"]["coco"]
    assert stream["metrics"] == {"box_ap50": 0.5, "box_ap": 0.253, "box_ap_large": None}
    assert stream["baselines"] == {"box_ap": 0.01}
    assert stream["per_class"] == {"cat": 0.25}
    assert (stream["task"], stream["count"], stream["unit"], stream["main"]) == ("detection", 5, "images", "box_ap")


def test_report_is_written_as_strict_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "report.json"
    write_report(path, "tiny", STREAMS)
    assert "NaN" not in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["model"] == "tiny"
    assert "25.3" in capsys.readouterr().out
