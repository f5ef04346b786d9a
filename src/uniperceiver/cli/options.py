"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="A checkpoint folder.")]
Device = Annotated[str, typer.Option("--device", help="Where to compute, e.g. cpu or cuda.")]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", help="NAME=PATH for a ${NAME} of the configuration. Repeatable."),
]


def named_paths(given: list[str] | None) -> dict[str, str]:
    """What ``--path NAME=PATH`` gave, by name; ValueError or FileNotFoundError for a wrong one."""
    values: dict[str, str] = {}
    for item in given or []:
        name, separator, value = item.partition("=")
        if not separator or not name or not value:
            raise ValueError(f"--path wants NAME=PATH, got {item!r}")
        if not Path(value).exists():
            raise FileNotFoundError(f"--path {name}: {value} does not exist")
        values[name] = value
    return values
