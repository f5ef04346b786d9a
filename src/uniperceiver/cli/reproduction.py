"""The command ``reproduce``: the paper's ablations in small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from uniperceiver.cli.options import Device, Paths, Values, places

if TYPE_CHECKING:
    from uniperceiver.reproduction.baseline import Baseline

Table = Annotated[
    Literal["table2", "table3", "table4", "table5", "claim"],
    typer.Argument(help="A table of the paper, or its claim about joint training."),
]
Encoders = Annotated[
    list[str] | None,
    typer.Option("--encoder", help="METHOD/DATA=SOURCE: another row of table5, e.g. 'CLIP/CLIP data=file:PATH'."),
]
Cutouts = Annotated[
    str | None, typer.Option(help="shapes, openmoji, or a folder of transparent PNGs. Default: openmoji if there.")
]
Config = Annotated[
    str | None, typer.Option("--config", help="Another training than the demo's to start from, with --path and --set.")
]


def reproduce(
    table: Table,
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs and the table; tables share runs in it.")],
    seeds: Annotated[str, typer.Option("--seeds", help="Numbers, separated by commas.")] = "0,1,2",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Length of the joint training. Default: as the configuration says.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="That train a run together; the batch is shared out.")] = 1,
    rows: Annotated[str | None, typer.Option(help="Only these rows: their titles, separated by commas.")] = None,
    encoder: Encoders = None,
    cutouts: Cutouts = None,
    config: Config = None,
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

    from uniperceiver.demo import check_packages
    from uniperceiver.reproduction.reproduce import plan as planned
    from uniperceiver.reproduction.reproduce import plan_table
    from uniperceiver.reproduction.reproduce import reproduce as run
    from uniperceiver.reproduction.tables import ablation_table
    from uniperceiver.reproduction.variation import Encoder

    baseline = _baseline(config, places(path, values), cutouts, steps, processes)
    chosen = ablation_table(table, baseline, [Encoder.parse(text) for text in encoder or []])
    if rows is not None:
        chosen = chosen.only([title.strip() for title in rows.split(",")])
    if plan:
        Console().print(plan_table(planned(chosen, baseline, _numbers(seeds), out)))
        return
    if config is None:
        check_packages()
    comparison = run(chosen, baseline, _numbers(seeds), out, device, keep_checkpoints)
    for text in (comparison.text(), comparison.contrasts()):
        if text is not None:
            Console().print(text.rich())
    typer.echo(f"table: {out / f'{table}.md'}")


def _baseline(
    config: str | None, given: dict[str, str], cutouts: str | None, steps: int | None, processes: int
) -> Baseline:
    """The training that the rows change: that of a configuration, or the demo's."""
    from uniperceiver.config import load_config, load_train_config
    from uniperceiver.demo import demo_config, installed_cutouts
    from uniperceiver.reproduction.baseline import Baseline

    if config is not None and cutouts is not None:
        raise ValueError("--cutouts is for the demo's training: with --config, the configuration names the data")
    settings = load_train_config(config, given) if config else demo_config(cutouts or installed_cutouts())
    return Baseline(settings, load_config(settings.model), steps or settings.schedule.steps, processes)


def _numbers(given: str) -> list[int]:
    """What ``--seeds 0,1,2`` gave; ValueError for anything else."""
    try:
        return [int(part) for part in given.split(",")]
    except ValueError:
        raise ValueError(f"--seeds wants numbers separated by commas, got {given!r}") from None
