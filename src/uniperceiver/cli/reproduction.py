"""The command ``reproduce``: the paper's ablations in small."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uniperceiver.cli.options import Device, Paths, Values, places


def reproduce(
    table: Annotated[str, typer.Argument(help="table2, table3, table4, table5 or claim.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs and the table; tables share runs in it.")],
    seeds: Annotated[str, typer.Option("--seeds", help="Numbers, separated by commas.")] = "0,1,2",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Length of the joint training. Default: as the configuration says.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="That train a run together; the batch is shared out.")] = 1,
    rows: Annotated[str | None, typer.Option(help="Only these rows: their titles, separated by commas.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option("--encoder", help="METHOD/DATA=SOURCE: another row of table5, e.g. 'CLIP/CLIP data=file:PATH'."),
    ] = None,
    cutouts: Annotated[
        str | None, typer.Option(help="shapes, openmoji, or a folder of transparent PNGs. Default: openmoji if there.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", help="Another training than the demo's to start from, with --path and --set."),
    ] = None,
    path: Paths = None,
    values: Values = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only list the runs and their steps.")] = False,
    keep_checkpoints: Annotated[
        bool, typer.Option("--keep-checkpoints", help="Do not remove a run's checkpoint when its figures are written.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Make a table of the paper's ablations in small: runs with seeds, then the paper's table with ours beside it."""
    from rich.console import Console

    from uniperceiver.config import load_config, load_train_config
    from uniperceiver.demo import check_packages, demo_config, installed_cutouts
    from uniperceiver.reproduction.baseline import Baseline
    from uniperceiver.reproduction.reproduce import plan as planned
    from uniperceiver.reproduction.reproduce import plan_table
    from uniperceiver.reproduction.reproduce import reproduce as run
    from uniperceiver.reproduction.tables import ablation_table
    from uniperceiver.reproduction.variation import Encoder

    if config is not None and cutouts is not None:
        raise ValueError("--cutouts is for the demo's training: with --config, the configuration names the data")
    given = places(path, values)
    settings = load_train_config(config, given) if config else demo_config(cutouts or installed_cutouts())
    baseline = Baseline(settings, load_config(settings.model), steps or settings.schedule.steps, processes)
    chosen = ablation_table(table, baseline, [Encoder.parse(text) for text in encoder or []])
    if rows is not None:
        chosen = chosen.only([title.strip() for title in rows.split(",")])
    numbers = _numbers(seeds)
    console = Console()
    if plan:
        console.print(plan_table(planned(chosen, baseline, numbers, out)))
        return
    if config is None:
        check_packages()
    comparison = run(chosen, baseline, numbers, out, device, keep_checkpoints)
    for text in (comparison.text(), comparison.contrasts()):
        if text is not None:
            console.print(text.rich())
    typer.echo(f"table: {out / f'{table}.md'}")


def _numbers(given: str) -> list[int]:
    """What ``--seeds 0,1,2`` gave; ValueError for anything else."""
    try:
        return [int(part) for part in given.split(",")]
    except ValueError:
        raise ValueError(f"--seeds wants numbers separated by commas, got {given!r}") from None
