"""The demo's figures of several seeds beside what is asked of it: a floor, below which the demo is broken, and an aim.

    for seed in 0 1 2; do uniperceiver demo --out runs/demo$seed --seed $seed; done
    python benchmarks/demo_floors.py runs/demo0/report.json runs/demo1/report.json runs/demo2/report.json

Prints a Markdown table, in percent, and exits with 1 when a mean lies below its floor.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple


class Goal(NamedTuple):
    """One figure of the report and what is asked of it, in percent."""

    what: str
    stream: str
    metric: str
    floor: float | None
    """None: the trivial answer's figure, or chance."""
    aim: float | None


GOALS = (
    Goal("box AP50", "objects", "box_ap50", 55, 70),
    Goal("box AP50 regardless of the class", "objects", "agnostic_box_ap50", 60, 75),
    Goal("mask AP50", "objects", "mask_ap50", 38, 55),
    Goal("classification, of 80 names", "labels", "top1", 97, 99.5),
    Goal("R@1 image → text, of 160 scenes", "pairs", "image_to_text_r1", 70, 88),
    Goal("R@1 text → image", "pairs", "text_to_image_r1", 70, 88),
    Goal("F1 of object names in captions", "captions", "name_f1", 60, 75),
    Goal("questions, all", "questions", "accuracy", 43, 55),
    Goal('questions, "what is"', "questions", "accuracy_what", 35, 55),
    Goal('questions, "how many"', "questions", "accuracy_how_many", None, None),
    Goal('questions, "is"', "questions", "accuracy_is", None, None),
    Goal('questions, "what color"', "questions", "accuracy_what_color", None, None),
    Goal("masked words", "language", "top1", 30, 45),
    Goal("held-out names: box AP50 regardless of the class", "objects-held-out", "agnostic_box_ap50", None, None),
    Goal("held-out names: found objects named, of 20 names", "objects-held-out", "named", None, None),
    Goal("held-out names: box AP50", "objects-held-out", "box_ap50", None, None),
    Goal("held-out names: classification, of 20 names", "labels-held-out", "top1", None, None),
    Goal("held-out names: R@1 image → text, of 120 scenes", "pairs-held-out", "image_to_text_r1", None, None),
)


class Row(NamedTuple):
    """A goal and what the seeds reached, in percent."""

    goal: Goal
    seeds: list[float]
    trivial: float

    @property
    def floor(self) -> float:
        """The goal's, or else the trivial answer's."""
        return self.trivial if self.goal.floor is None else self.goal.floor

    @property
    def is_reached(self) -> bool:
        """The mean is above the floor."""
        return mean(self.seeds) >= self.floor if self.goal.floor is not None else mean(self.seeds) > self.floor

    def cells(self) -> list[str]:
        """The row as it is printed."""
        floor = f"{self.floor:.1f} (trivial)" if self.goal.floor is None else f"{self.floor:g}"
        spread = f" ± {stdev(self.seeds):.1f}" if len(self.seeds) > 1 else ""
        verdict = "no" if not self.is_reached else "yes"
        if self.goal.aim is not None and mean(self.seeds) >= self.goal.aim:
            verdict = "aim"
        return [
            self.goal.what,
            f"{self.trivial:.1f}",
            floor,
            "–" if self.goal.aim is None else f"{self.goal.aim:g}",
            *(f"{value:.1f}" for value in self.seeds),
            f"**{mean(self.seeds):.1f}**{spread}",
            verdict,
        ]


def rows_of(reports: list[dict[str, Any]]) -> list[Row]:
    """One row per goal; KeyError for a report that lacks one. An undefined figure counts as 0."""
    rows = []
    for goal in GOALS:
        streams = [report["streams"][goal.stream] for report in reports]
        seeds = [100 * (stream["metrics"][goal.metric] or 0.0) for stream in streams]
        rows.append(Row(goal, seeds, mean(100 * (stream["baselines"][goal.metric] or 0.0) for stream in streams)))
    return rows


def table(rows: list[Row], names: list[str]) -> str:
    """The rows as Markdown."""
    head = ["figure", "trivial", "floor", "aim", *names, "mean", "reached"]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, help="report.json of each seed")
    paths = parser.parse_args().reports
    rows = rows_of([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    print(table(rows, [path.parent.name for path in paths]))
    missed = [row.goal.what for row in rows if not row.is_reached]
    if missed:
        sys.exit(f"below the floor: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
