"""The command that classifies texts: ``classify-text``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uniperceiver.cli.options import Adapter, Device
from uniperceiver.cli.prediction import (
    NANO,
    InPrecision,
    Labels,
    ModelName,
    given_names,
    load_predictor,
    read_lines,
)


def classify_text(
    texts: Annotated[list[str] | None, typer.Argument(help="The texts.")] = None,
    second: Annotated[
        list[str] | None,
        typer.Option("--second", help="Of pairs, the second text: one for all texts, or repeated, one for each."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--texts", help="Instead: a file with a text a line, or two with a tab between them.")
    ] = None,
    labels: Labels = None,
    task: Annotated[
        str | None, typer.Option("--task", help="The stream, where the model was trained for several of texts.")
    ] = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an object a line instead of text.")] = False,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Say of which class texts are, or pairs of texts, as a model was trained to (GLUE, texts of your own)."""
    import json

    if bool(texts) == (table is not None) or (table is not None and second):
        raise ValueError("classify-text takes either texts, with --second for pairs, or --texts with a file")
    firsts, seconds = (list(texts or []), second or None) if table is None else _read_table(table)
    if seconds is not None and len(seconds) == 1:
        seconds = seconds * len(firsts)
    names = given_names("--labels", labels)
    found = load_predictor(model, device, adapter, precision).classify_text(firsts, seconds, names, task)
    for place, (first, prediction) in enumerate(zip(firsts, found, strict=True)):
        given = {"text": first} | ({} if seconds is None else {"second": seconds[place]})
        if as_json:
            typer.echo(json.dumps(given | prediction.to_json(), ensure_ascii=False))
        else:
            typer.echo("\n".join([" | ".join(given.values()), *(f"  {line}" for line in prediction.lines())]))


def _read_table(path: Path) -> tuple[list[str], list[str] | None]:
    """The texts of a file, and the second ones where its lines have two."""
    rows = [[text.strip() for text in line.split("\t")] for line in read_lines("--texts", path)]
    columns = len(rows[0])
    odd = next((number for number, row in enumerate(rows, 1) if len(row) != columns or columns > 2), None)
    if odd is not None:
        raise ValueError(
            f"--texts {path}: row {odd} has {len(rows[odd - 1])} texts; every row has one, or every row two"
        )
    return [row[0] for row in rows], None if columns == 1 else [row[1] for row in rows]
