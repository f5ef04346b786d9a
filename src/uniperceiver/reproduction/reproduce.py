"""An ablation table from beginning to end: its runs one after the other, the table after each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from uniperceiver.atomic_files import write_whole
from uniperceiver.config import ConfigError
from uniperceiver.reproduction.baseline import Baseline
from uniperceiver.reproduction.comparison import Comparison
from uniperceiver.reproduction.runs import Run, execute, plan_run, read_result
from uniperceiver.reproduction.tables import AblationTable


def plan(table: AblationTable, baseline: Baseline, seeds: Sequence[int], out: Path) -> list[Run]:
    """The runs of a table in the order they are made: all of the first seed, then all of the next.

    Runs lie in ``out`` by what they are, so tables share them. The folder is made absolute: runs name it.

    Raises:
        ConfigError: no seed or one twice, a folder with a run of another configuration, or too few steps.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(f"seeds must be different numbers from 0 on, got {list(seeds)}")
    out = out.resolve()
    return [plan_run(baseline, variation, seed, out) for seed in seeds for variation in table.variations()]


def plan_table(runs: Sequence[Run]) -> Table:
    """What a plan will do, for the terminal."""
    table = Table("run", "steps", "state", title=f"{len(runs)} runs, {_total(runs)} steps")
    for run in runs:
        state = "finished" if run.is_finished else "begun" if run.folder.exists() else ""
        table.add_row(run.folder.name, str(run.training.schedule.steps), state)
    return table


def _total(runs: Sequence[Run]) -> int:
    return sum(run.training.schedule.steps for run in runs)


def reproduce(
    table: AblationTable,
    baseline: Baseline,
    seeds: Sequence[int],
    out: Path,
    device: str = "cpu",
    keeps_checkpoints: bool = False,
) -> Comparison:
    """Make the runs of a table that are not finished, and write ``out/<table>.md`` and ``.json`` after each.

    Interrupted, the same call goes on: finished runs stay, the one that was under way resumes from its checkpoint.

    Args:
        table: from `ablation_table`.
        baseline: what its rows change.
        seeds: of the runs; the data are the same with every seed.
        out: folder of the runs and of the table.
        device: where to compute.
        keeps_checkpoints: False: a run's checkpoint is removed once its figures are written.

    Raises:
        ConfigError: see `plan`.
    """
    runs = plan(table, baseline, seeds, out)
    results = {(run.variation, run.seed): read_result(run) for run in runs if run.is_finished}
    comparison = Comparison(table, baseline, seeds, results)
    console = Console(highlight=False)
    console.print(f"{len(runs)} runs, {len(results)} of them finished; {_total(runs)} steps in all")
    out.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs, start=1):
        if run.is_finished:
            continue
        console.rule(f"run {number} of {len(runs)}: {run.folder.name}, {run.training.schedule.steps} steps")
        results[run.variation, run.seed] = execute(run, device, keeps_checkpoints)
        _write(comparison, out)
    _write(comparison, out)
    return comparison


def _write(comparison: Comparison, out: Path) -> None:
    tables = [comparison.text(), comparison.contrasts()]
    page = "\n".join(table.markdown() for table in tables if table is not None)
    write_whole(out / f"{comparison.table.name}.md", page.encode())
    content = json.dumps(comparison.to_json(), indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(out / f"{comparison.table.name}.json", f"{content}\n".encode())
