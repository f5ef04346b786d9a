"""The table of docs/performance.md, measured: every benchmark in a process of its own, one after the other.

    make benchmark
    python benchmarks/table.py --quick
    python benchmarks/table.py --only captioning starting --out table.md

Prints Markdown. A benchmark that fails or runs out of time gives a row that says so, and exit code 1 at the end; an aim
that is missed does not, since a busy machine misses most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from measuring import Row

FOLDER = Path(__file__).parent
LIMIT = 3600
"""Seconds after which a benchmark counts as hanging. The long form of the detectors takes some five minutes alone."""
BENCHMARKS = (
    "linear_layers",
    "deformable_attention --keep-heap",
    "deformable_attention",
    "detectors",
    "captioning",
    "conditional_moe",
    "name_encoding",
    "loading",
    "coco_evaluation",
    "starting",
    "nano_training",
    "v1_captioning",
    "v1_moe",
)


def script(benchmark: str) -> str:
    """The name of a benchmark without its options."""
    return benchmark.partition(" ")[0]


def run(benchmark: str, is_quick: bool, threads: int) -> list[Row] | str:
    """The rows of a benchmark, or why there are none."""
    name, *options = benchmark.split()
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--json", *options, *(["--quick"] if is_quick else [])]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {LIMIT} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return [Row(**row) for row in json.loads(done.stdout.strip().splitlines()[-1])]


def line(name: str, row: Row) -> str:
    sign = "≥" if row.sense == "at least" else "≤"
    measured = f"{row.measured:.2f}{row.unit}"
    marked = f"**{measured}**" if row.is_met else measured
    return f"| {row.what} | {row.against} | {sign} {row.aim:g}{row.unit} | {marked} {row.detail} | `{name}.py` |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="orders of magnitude in a third of the time")
    parser.add_argument("--only", nargs="+", choices=list(dict.fromkeys(map(script, BENCHMARKS))), help="some")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    began = time.monotonic()
    table = ["| what | against | aim | measured (met: bold) | by |", "|---|---|---|---|---|"]
    print("\n".join(table), flush=True)
    failed = []
    for benchmark in BENCHMARKS:
        name = script(benchmark)
        if given.only is not None and name not in given.only:
            continue
        rows = run(benchmark, given.quick, given.threads)
        if isinstance(rows, str):
            failed.append(name)
            lines = [f"| {name} | – | – | not measured: {rows} | `{name}.py` |"]
        else:
            lines = [line(name, row) for row in rows]
        print("\n".join(lines), flush=True)
        table += lines
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    table.append(
        f"\ntorch {torch.__version__}, {given.threads} threads, load {load:.1f} at the end, "
        f"{time.monotonic() - began:.0f} s{', quick' if given.quick else ''}"
    )
    print(table[-1])
    if given.out is not None:
        given.out.write_text("\n".join(table) + "\n", encoding="utf-8")
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
