"""The commands that use a model, one for each verb: ``classify``, ``detect``, ``caption``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uniperceiver.cli.options import Device, Model

if TYPE_CHECKING:
    from uniperceiver.predictions import Caption, Classification, Detection

Pictures = Annotated[list[Path], typer.Argument(help="Picture files or folders of pictures.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results: predictions.json and annotated pictures.")]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help='Class names, "cat, red car", or a text file with one a line. Default: as trained.'),
]


def classify(model: Model, pictures: Pictures, out: Out, labels: Labels = None, device: Device = "cpu") -> None:
    """Name what pictures show."""
    from uniperceiver.predictor import Predictor

    names = _names(labels)
    predictor = Predictor.from_checkpoint(model, device)
    _write(pictures, lambda path: predictor.classify(path, names)[0], out)


def detect(
    model: Model,
    pictures: Pictures,
    out: Out,
    labels: Labels = None,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Keep objects with at least this score.")] = 0.1,
    device: Device = "cpu",
) -> None:
    """Find objects: boxes and masks."""
    from uniperceiver.predictor import Predictor

    names = _names(labels)
    predictor = Predictor.from_checkpoint(model, device)
    _write(pictures, lambda path: predictor.detect(path, names)[0], out, threshold)


def caption(model: Model, pictures: Pictures, out: Out, device: Device = "cpu") -> None:
    """Say what pictures show in a sentence."""
    from uniperceiver.predictor import Predictor

    predictor = Predictor.from_checkpoint(model, device)
    _write(pictures, lambda path: predictor.caption(path)[0], out)


def _names(labels: str | None) -> list[str] | None:
    from uniperceiver.picture_files import read_labels

    return None if labels is None else read_labels(labels)


def _write(
    pictures: list[Path],
    predict: Callable[[Path], Classification | Detection | Caption],
    out: Path,
    threshold: float = 0.0,
) -> None:
    from uniperceiver.picture_files import find_pictures, predict_files

    found = find_pictures(pictures)
    failures = predict_files(found, predict, out, threshold)
    typer.echo(f"{len(found) - len(failures)} of {len(found)} pictures: {out / 'predictions.json'}")
    for failure in failures:
        typer.echo(f"not read: {failure.path}: {failure.reason}", err=True)
    if failures:
        raise typer.Exit(1)
