"""The paper's table with ours beside it: means and spreads over seeds, gaps, and whether the claims hold."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from uniperceiver.reproduction.baseline import Baseline
from uniperceiver.reproduction.runs import RunResult
from uniperceiver.reproduction.tables import COLUMNS, AblationTable, Column, Contrast, Row
from uniperceiver.reproduction.variation import Variation

Results = Mapping[tuple[Variation, int], RunResult]
"""(variation, seed) → the metrics of the run; unfinished runs are not there."""


@dataclass(frozen=True)
class TextTable:
    """A table of texts, to print or to write."""

    title: str
    headers: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """As a section of a Markdown page."""
        rows = [self.headers, ("---",) * len(self.headers), *self.lines]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return "\n\n".join([f"## {self.title}", table, *self.notes]) + "\n"

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title, caption="\n".join(self.notes), caption_justify="left", box=box.SIMPLE_HEAD)
        for header in self.headers:
            table.add_column(header, min_width=5, overflow="fold")
        for line in self.lines:
            table.add_row(*line)
        return table


class Comparison:
    """The figures of a table's finished runs."""

    def __init__(self, table: AblationTable, baseline: Baseline, seeds: Sequence[int], results: Results) -> None:
        """Columns are those of the tasks that the baseline trains."""
        self.table = table
        self.seeds = seeds
        self._results = results
        streams = {column: baseline.stream_of(column.task) for column in COLUMNS}
        self._streams = {column: stream for column, stream in streams.items() if stream is not None}
        self._rows = {row.title: row for row in table.rows}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The metrics that our runs have."""
        return tuple(self._streams)

    def by_seed(self, row: Row, column: Column) -> dict[int, float]:
        """Seed → metric in percent, of the finished runs in which it is defined."""
        stream = self._streams[column]
        if stream not in row.runs:
            return {}
        found: dict[int, float] = {}
        for seed in self.seeds:
            result = self._results.get((row.runs[stream], seed))
            value = None if result is None else result.metrics[stream].get(column.metric)
            if value is not None:
                found[seed] = 100 * value
        return found

    def differences(self, row: Row, against: Row, column: Column) -> list[float]:
        """Row minus the other, for every seed that both have: points of a percent."""
        ours, theirs = self.by_seed(row, column), self.by_seed(against, column)
        return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]

    def text(self) -> TextTable:
        """The paper's table with a line of ours below each of its own."""
        headers = (*self.table.headers, "figures of", *(column.title for column in self.columns))
        lines: list[tuple[str, ...]] = []
        for row in self.table.rows:
            if row.paper is not None:
                printed = dict(zip(COLUMNS, row.paper, strict=False))
                lines.append((*row.labels, "the paper", *(printed.get(column, "") for column in self.columns)))
            if row.runs:
                lines.append((*row.labels, self._whose(row), *(self._cell(row, column) for column in self.columns)))
        return TextTable(self.table.title, headers, tuple(lines), self._notes())

    def _whose(self, row: Row) -> str:
        done = [seed for seed in self.seeds if all((run, seed) in self._results for run in row.runs.values())]
        number = f"{len(done)}" if len(done) == len(self.seeds) else f"{len(done)} of {len(self.seeds)}"
        return f"ours, {number} seed{'s' if len(self.seeds) > 1 else ''}"

    def _cell(self, row: Row, column: Column) -> str:
        values = list(self.by_seed(row, column).values())
        reference = self._rows.get(row.reference or "")
        if reference is None:
            return mean_and_spread(values)
        gaps = self.differences(row, reference, column)
        return mean_and_spread(values) + (f" ({statistics.fmean(gaps):+.1f})" if gaps else "")

    def _notes(self) -> tuple[str, ...]:
        metrics = (
            "Box AP and mask AP: detection (the paper: COCO mAP). Top-1: classification (ImageNet-1k). I2T, T2I R@1: "
            "retrieval, image to text and text to image (COCO). BLEU-4: captions (COCO). Words: masked words, top-1. "
            "VQA: accuracy."
        )
        whose = (
            "The paper's figures are of ResNet-50 on those data. Ours are of other data and of a much smaller model "
            "and training, so only differences between rows compare; in percent, mean ± standard deviation over seeds."
        )
        return tuple(note for note in (metrics, whose, self.table.note) if note)

    def contrasts(self) -> TextTable | None:
        """Whether what the table should show holds, a column for each claim; None: it makes none."""
        contrasts = self.table.contrasts
        if not contrasts:
            return None
        note = (
            "Differences seed by seed: mean ± standard deviation in points, and the mean as a part of what it is "
            "compared with. A claim holds where no mean is below its bound (✗), whatever the spread."
        )
        differences = [[self._contrast(contrast, column) for contrast in contrasts] for column in self.columns]
        verdicts = tuple(_verdict(cells) for cells in zip(*differences, strict=True))
        lines = [(column.title, *cells) for column, cells in zip(self.columns, differences, strict=True)]
        headers = ("claim", *(contrast.claim for contrast in contrasts))
        return TextTable("Do the claims hold?", headers, (("holds", *verdicts), *lines), (note,))

    def _contrast(self, contrast: Contrast, column: Column) -> str:
        row, against = self._rows[contrast.row], self._rows[contrast.against]
        gaps = self.differences(row, against, column)
        if not gaps:
            return "–"
        level, gap = statistics.fmean(self.by_seed(against, column).values()), statistics.fmean(gaps)
        part = f" ({gap / level:+.0%})" if level else ""
        return mean_and_spread(gaps, "+") + part + (" ✗" if gap < -contrast.tolerance * level else "")

    def to_json(self) -> dict[str, object]:
        """The content of ``<table>.json``: per row and column the paper's figure as printed, and ours by seed."""
        return {
            "schema": 1,
            "table": self.table.name,
            "seeds": list(self.seeds),
            "scale": "percent",
            "rows": [
                {
                    "labels": list(row.labels),
                    "paper": None if row.paper is None else list(row.paper),
                    "ours": {column.title: self.by_seed(row, column) for column in self.columns} if row.runs else None,
                }
                for row in self.table.rows
            ],
        }


def _verdict(cells: Sequence[str]) -> str:
    """Of one claim, from its cells: unknown while a metric is."""
    if any(cell.endswith("✗") for cell in cells):
        return "no"
    return "–" if "–" in cells else "yes"


def mean_and_spread(values: Sequence[float], sign: str = "") -> str:
    """Mean ± sample standard deviation; one value has no spread, none is a dash. ``sign``: ``+`` writes plus signs."""
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):{sign}.1f}"
    return mean if len(values) == 1 else f"{mean} ±{statistics.stdev(values):.1f}"
