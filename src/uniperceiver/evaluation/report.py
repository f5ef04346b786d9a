"""What evaluation found, as a table and as ``report.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from uniperceiver.evaluation.examples import ExampleSheet
from uniperceiver.evaluation.metric_values import percent, with_nulls
from uniperceiver.evaluation.scoring import EvaluationResult


@dataclass(frozen=True)
class StreamReport:
    """The result of one stream, and what was evaluated."""

    task: str
    dataset: str
    """The data set in words."""
    result: EvaluationResult
    sheet: ExampleSheet = field(default_factory=ExampleSheet)
    """Predictions to look at."""


def report_table(model: str, streams: Mapping[str, StreamReport]) -> Table:
    """One row per metric, in percent, with the trivial baseline beside it; the main metric of a stream comes first."""
    table = Table("stream", "metric", "percent", "trivial", "measured on", title=f"{model}: evaluation")
    for name, stream in streams.items():
        result = stream.result
        others = [metric for metric in result.metrics if metric != result.main]
        for metric in [result.main, *others]:
            is_main = metric == result.main
            baseline = percent(result.baselines[metric]) if metric in result.baselines else ""
            table.add_row(
                f"[bold]{name}[/] ({stream.task})" if is_main else "",
                f"[bold]{metric}[/]" if is_main else metric,
                percent(result.metrics[metric]),
                baseline,
                f"{result.count} {result.unit}" if is_main else "",
            )
        table.add_section()
    return table


def report_json(model: str, streams: Mapping[str, StreamReport], date: datetime) -> dict[str, object]:
    """The content of ``report.json``: metrics as fractions (not percent), null where undefined."""
    return {
        "schema": 1,
        "model": model,
        "date": date.isoformat(timespec="seconds"),
        "scale": "fractions of one; CIDEr-D from 0 to 10",
        "streams": {
            name: {
                "task": stream.task,
                "dataset": stream.dataset,
                "count": stream.result.count,
                "unit": stream.result.unit,
                "protocol": stream.result.protocol,
                "main": stream.result.main,
                "metrics": with_nulls(stream.result.metrics),
                "baselines": with_nulls(stream.result.baselines),
                "per_class": with_nulls(stream.result.per_class),
                "per_class_metric": stream.result.per_class_metric or None,
            }
            for name, stream in streams.items()
        },
    }


def write_report(path: Path, model: str, streams: Mapping[str, StreamReport]) -> None:
    """Write ``report.json`` and print the table."""
    content = report_json(model, streams, datetime.now(UTC))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    Console().print(report_table(model, streams))
