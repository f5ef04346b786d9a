"""The commands ``uniperceiver data …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make and check data sets.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make and check data sets."""


@app.command()
def compose(
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder for pictures and annotations.")],
    cutouts: Annotated[
        str, typer.Option("--cutouts", help="shapes, openmoji, tuxpaint, or a folder of transparent PNGs.")
    ] = "shapes",
    images: Annotated[int, typer.Option(min=1, help="Training pictures; val and test get a tenth each.")] = 1000,
    size: Annotated[int, typer.Option(min=64, help="Height and width of the pictures.")] = 224,
    names: Annotated[
        int | None, typer.Option(min=1, help="Names to train on, drawn at random. Default: all not held out.")
    ] = None,
    held_out: Annotated[int, typer.Option("--held-out", min=0, help="Names kept for a part with novel objects.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other scenes and other names.")] = 0,
    clips: Annotated[
        int, typer.Option(min=0, help="Training clips of moving objects; val and test get a tenth each. Needs PyAV.")
    ] = 0,
) -> None:
    """Compose pictures from cut-outs, with boxes, masks, captions and questions, as files in public formats.

    With --clips also videos of moving objects, with classes and captions.
    """
    from uniperceiver.config import ScenesConfig
    from uniperceiver.data.scenes.export import compose as write

    config = ScenesConfig(
        view="objects",
        split="train",
        images=images,
        cutouts=cutouts,
        names=names,
        held_out=held_out,
        size=size,
        seed=seed,
    )
    for path in write(config, out, clips):
        typer.echo(str(path))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A data set: a folder, or one annotation file, shard or text.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="Where the pictures lie. Default: found near the annotations.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the findings to this file.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 for warnings.")] = False,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every picture, not only suspicious ones.")] = False,
) -> None:
    """Look for everything wrong with a data set, and say how to mend it.

    Exit code: 0 when it is clean or has notes and warnings only, 1 with warnings and --strict, 2 with errors.
    """
    from rich.console import Console

    from uniperceiver.data.doctor import check_data
    from uniperceiver.data.doctor.table import findings_table, progress_bar

    with progress_bar() as progress:
        diagnosis = check_data(path, images=images, decode=decode, progress=progress)
    if json_file is not None:
        diagnosis.write(json_file)
    Console().print(findings_table(diagnosis))
    raise typer.Exit(diagnosis.exit_code(strict))
