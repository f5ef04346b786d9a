"""Arguments and options that several commands share, and what was given by them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FoundModel = Annotated[
    str,
    typer.Argument(
        help="A checkpoint folder, the folder of a training, a packaged checkpoint, or owner/name on the hub."
    ),
]
Adapter = Annotated[
    Path | None,
    typer.Option("--adapter", help="An adapter.safetensors, e.g. of prompt tuning, to put onto the model first."),
]
Device = Annotated[str, typer.Option("--device", help="Where to compute, e.g. cpu or cuda.")]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", help="NAME=PATH, a file or folder for a ${NAME} of the configuration. Repeatable."),
]
Values = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE for a ${NAME} of the configuration that is no path. Repeatable."),
]


def named_paths(given: list[str] | None) -> dict[str, str]:
    """What ``--path NAME=PATH`` gave, by name; ValueError or FileNotFoundError for a wrong one."""
    paths = _named("--path", "PATH", given)
    for name, path in paths.items():
        if not Path(path).exists():
            raise FileNotFoundError(
                f"--path {name}: {path} does not exist; what is no file or folder is given by --set {name}={path}"
            )
    return paths


def places(paths: list[str] | None, values: list[str] | None) -> dict[str, str]:
    """What ``--path`` and ``--set`` gave for the ``${NAME}`` places of a configuration, by name.

    Raises:
        ValueError: not NAME=VALUE, or a name that is given twice.
        FileNotFoundError: a path that does not exist.
    """
    found, others = named_paths(paths), _named("--set", "VALUE", values)
    twice = sorted(found.keys() & others.keys())
    if twice:
        raise ValueError(f"{twice[0]} is given by --path and by --set: give it once")
    return found | others


def _named(option: str, what: str, given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in given or []:
        name, separator, value = item.partition("=")
        if not separator or not name or not value:
            raise ValueError(f"{option} wants NAME={what}, got {item!r}")
        if name in found:
            raise ValueError(f"{option} {name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found


def found_model(name: str) -> str:
    """What ``info`` describes and training starts from: a preset, the path of a model YAML, or a checkpoint folder.

    A local checkpoint comes first, then a preset. So ``nano`` is the untrained preset, and ``packaged:nano`` the
    checkpoint of that name, which `find_checkpoint` finds by either.

    Raises:
        CheckpointError: nothing of that name.
    """
    from uniperceiver.checkpoint import CheckpointError
    from uniperceiver.config import shipped
    from uniperceiver.predictor.model_folders import find_checkpoint, local_checkpoint

    presets = shipped("model")
    if local_checkpoint(Path(name)) is None and (Path(name).suffix in {".yaml", ".yml"} or name in presets):
        return name
    try:
        found = find_checkpoint(name)
        return str(found.absolute() if str(found) in presets else found)  # a preset's name alone means the preset
    except CheckpointError as error:
        raise CheckpointError(f"{error}. Presets, without training, are {', '.join(presets)}") from None
