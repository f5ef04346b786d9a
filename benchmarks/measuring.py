"""What the benchmarks share: runs that take turns, rows of the table in docs/performance.md, and their command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch

from uniperceiver.allocator import KEPT_HEAP


@dataclass(frozen=True)
class Row:
    """One measured figure beside what is asked of it."""

    what: str
    against: str
    measured: float
    aim: float
    sense: Literal["at least", "at most"] = "at least"
    unit: str = "×"
    detail: str = ""
    """The seconds or bytes behind the ratio."""

    @property
    def is_met(self) -> bool:
        """Whether the aim is reached."""
        return self.measured >= self.aim if self.sense == "at least" else self.measured <= self.aim


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark of the table has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes: orders of magnitude")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON: the rows of the table")
    return parser


def keep_heap() -> None:
    """Start this program again with `KEPT_HEAP`, for all sides of the comparison alike, unless it runs so."""
    if not KEPT_HEAP.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEPT_HEAP)


def best_seconds(
    runs: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The least time of each run. They take turns, after one turn to warm up, so that all meet the same machine."""
    best = dict.fromkeys(runs, float("inf"))
    for measured in range(rounds + 1):
        for name, run in runs.items():
            began = clock()
            run()
            if measured:
                best[name] = min(best[name], clock() - began)
    return best


def read_bandwidth() -> float:
    """Bytes per second at which this process reads memory with its threads, best of seven."""
    data = torch.ones(2**26)
    seconds = best_seconds({"read": lambda: data.sum()}, rounds=7)["read"]
    return data.numel() * data.element_size() / seconds


def report(rows: Sequence[Row], as_json: bool) -> None:
    """Print rows for people, and for `table.py` in one line."""
    for row in rows:
        sign = "≥" if row.sense == "at least" else "≤"
        print(
            f"{row.what}, against {row.against}: {row.measured:.2f}{row.unit} (aim {sign} {row.aim:g}) {row.detail}",
            flush=True,
        )
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
