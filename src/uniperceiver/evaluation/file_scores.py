"""Scores of a file of predictions, with what is needed to quote them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from uniperceiver.evaluation.metric_values import with_nulls


class PredictionFileError(ValueError):
    """A file of predictions or annotations that cannot be scored; the message names file and entry."""


@dataclass(frozen=True)
class FileScores:
    """Metrics of one file of predictions against one of annotations."""

    metrics: dict[str, float]
    """Name → value in [0, 1] (CIDEr-D: [0, 10]); nan where there is nothing to measure it on."""
    count: int
    unit: str
    """What was counted: images or questions."""
    protocol: str

    def table(self) -> RenderableType:
        """Every metric times 100, as papers print them, under its protocol and count."""
        table = Table()
        table.add_column("metric")
        table.add_column("value, times 100", justify="right")
        for name, value in self.metrics.items():
            table.add_row(name, "–" if math.isnan(value) else f"{100 * value:.2f}")
        return Group(Text(f"{self.count} {self.unit}. {self.protocol}"), table)

    def write(self, path: Path) -> None:
        """Fractions, not percent; nan becomes null."""
        content = asdict(self) | {
            "schema": 1,
            "scale": "fractions; CIDEr-D from 0 to 10",
            "metrics": with_nulls(self.metrics),
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_file(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        PredictionFileError: no such file, or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PredictionFileError(f"no file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PredictionFileError(f"{path} is not valid JSON: {error}") from None


def read_predictions(path: Path, *fields: str) -> list[dict[str, Any]]:
    """The entries of a results file: a JSON list of objects, each with ``fields``.

    Raises:
        PredictionFileError: another shape, or an entry without one of the fields.
    """
    rows = read_file(path)
    if not isinstance(rows, list):
        raise PredictionFileError(f"{path} should be a JSON list of predictions, as the official evaluations read it")
    return _complete(rows, str(path), fields)


def read_annotations(path: Path, key: str, *fields: str) -> list[dict[str, Any]]:
    """The objects in the list ``key`` of an annotation file, each with ``fields``.

    Raises:
        PredictionFileError: another shape, or an entry without one of the fields.
    """
    content = read_file(path)
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise PredictionFileError(
            f"{path} should be a JSON object with a list {key!r}: is it a file of another format?"
        )
    return _complete(content[key], f"{path}: {key}", fields)


def _complete(rows: list[Any], where: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    for position, row in enumerate(rows):
        missing = [name for name in fields if not isinstance(row, dict) or name not in row]
        if missing:
            raise PredictionFileError(f"{where}: entry {position} has no {', '.join(missing)}")
    return rows


def one_each(given: list[Any], expected: list[Any], what: str, path: Path) -> None:
    """Check that the ids of predictions are those expected, once each.

    Raises:
        PredictionFileError: some are missing, surplus or repeated.
    """
    missing, surplus = set(expected) - set(given), set(given) - set(expected)
    if missing or surplus or len(set(given)) != len(given):
        raise PredictionFileError(
            f"{path} should hold one prediction for each of {len(set(expected))} {what}: {len(missing)} are missing "
            f"{sorted(missing, key=str)[:3]}, {len(surplus)} surplus {sorted(surplus, key=str)[:3]}, "
            f"{len(given) - len(set(given))} repeated"
        )
