"""The commands that make a model: ``train``, ``merge``, ``demo``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from uniperceiver.cli.options import Adapter, Device, FoundModel, Paths, Values, found_model, places

if TYPE_CHECKING:
    from uniperceiver.config import TrainConfig

NANO = "nano"
"""The preset that is trained on ``--data`` unless ``--model`` names another model."""

StartModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="What to start from: a preset, a YAML, a checkpoint or training folder, packaged:NAME, or owner/name on "
        "the hub. Default: what the configuration says; with --data the preset nano.",
    ),
]
InitFrom = Annotated[
    list[str] | None,
    typer.Option("--init-from", help="Weights to start parts of the model from, whoever made them. Repeatable."),
]
Tune = Annotated[
    Literal["full", "frozen", "lora", "prompt"] | None,
    typer.Option("--tune", help="What to train: full, frozen (encoders), lora or prompt."),
]
"""The modes of `TuneConfig`."""


def train(
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint and the log.")],
    config: Annotated[
        str | None, typer.Argument(help="A shipped training configuration or a YAML file; or give --data.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="A folder or file of data in any known format, recognised by content. Repeatable."),
    ] = None,
    model: StartModel = None,
    path: Paths = None,
    values: Values = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train this long, whatever the configuration says.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write for TensorBoard, to the folder tensorboard in --out.")
    ] = False,
    init_from: InitFrom = None,
    tune: Tune = None,
    device: Device = "cpu",
) -> None:
    """Train one model jointly on every stream of a configuration, or on every task that --data is good for.

    With --data the equivalent configuration is written to train.yaml in --out; --resume alone goes on with that.
    """
    from dataclasses import replace

    from uniperceiver.config import load_train_config
    from uniperceiver.training.train import train as run

    if (config and data) or not (config or data or resume):
        raise ValueError("train wants either a configuration or --data DIR_OR_FILE")
    if data:
        _plan(data, model or NANO, out / "train.yaml")
    known = {} if model is None else {"model": model}
    settings = load_train_config(config or str(out / "train.yaml"), places(path, values), known)
    if minutes is not None:
        settings = replace(settings, schedule=replace(settings.schedule, minutes=minutes))
    if tensorboard:
        settings = replace(settings, tensorboard=True)
    if init_from:
        settings = replace(settings, init_from=(*settings.init_from, *init_from))
    if tune is not None:
        settings = replace(settings, tune=replace(settings.tune, mode=tune))
    settings = _resumed(settings, model, out) if resume else _begun(settings, model or settings.model)
    typer.echo(f"checkpoint: {run(settings, out, resume, device)}")


def _plan(data: list[Path], model: str, written: Path) -> None:
    from dataclasses import replace

    from uniperceiver.data.recognition.recognise import recognise
    from uniperceiver.data.recognition.training_plan import describe, training_plan, write_plan

    found = [entry for given in data for entry in recognise(given)]
    plan = training_plan(found, found_model(model))
    for line in describe(found):
        typer.echo(line)
    write_plan(replace(plan, model=model), written)
    typer.echo(f"the same as: uniperceiver train {shlex.quote(str(written))} --out …")


def _begun(settings: TrainConfig, model: str) -> TrainConfig:
    """The training that starts from ``model``.

    Raises:
        CheckpointError: nothing of that name.
        ValueError: ``tune`` adapts a trained model, but nothing of g, which it adapts, is trained.
    """
    from dataclasses import replace

    found = found_model(model)
    if Path(found).is_dir():
        typer.echo(f"starts from {found}")
    elif settings.tune.mode in ("lora", "prompt") and not settings.init_from:
        raise ValueError(
            f"--tune {settings.tune.mode} adapts a trained model, but {model} is a configuration whose decoder begins "
            "random: give --model a checkpoint, the folder of a training, packaged:NAME or owner/name on the hub; or "
            "--init-from with its weights"
        )
    return replace(settings, model=found)


def _resumed(settings: TrainConfig, model: str | None, out: Path) -> TrainConfig:
    """The training that goes on from the checkpoint in ``out``, with the model that it began with.

    Raises:
        ValueError: ``--model`` names another.
    """
    from dataclasses import replace

    from uniperceiver.checkpoint import stored_training
    from uniperceiver.training.checkpoint_keeping import NEWEST

    stored = stored_training(out / NEWEST)
    if stored is None:
        return settings  # there is nothing to go on from, which training says
    if model is not None and found_model(model) != stored.model:
        raise ValueError(
            f"--model {model}: the training in {out} began with {stored.model}, and --resume goes on with its own "
            "weights: leave --model out, or begin another in another --out"
        )
    return replace(settings, model=stored.model)


def merge(
    model: FoundModel,
    out: Annotated[Path, typer.Option("--out", help="Folder for the merged checkpoint.")],
    adapter: Adapter = None,
) -> None:
    """Write low-rank updates (LoRA) into the weights for deployment; prompts stay prompts.

    The model has the updates itself, or is the base that --adapter goes onto.
    """
    from uniperceiver.predictor.model_folders import find_checkpoint
    from uniperceiver.training.adapting import merge_checkpoint

    typer.echo(f"checkpoint: {merge_checkpoint(find_checkpoint(model), out, adapter)}")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint, the log and the report.")] = Path(
        "runs/demo"
    ),
    minutes: Annotated[float, typer.Option(min=0.01, help="Time of the training; evaluation comes on top.")] = 15,
    cutouts: Annotated[
        str | None, typer.Option(help="shapes, openmoji, or a folder of transparent PNGs. Default: openmoji if there.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the weights and the order of the data; the scenes stay the same.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Training processes; the cores are divided among them.")] = 1,
    device: Device = "cpu",
) -> None:
    """Train one small model on six tasks of composed scenes, evaluate it on unseen ones, write a report."""
    from uniperceiver.demo import check_packages, demo_config, installed_cutouts
    from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
    from uniperceiver.training.processes import train_in_processes

    check_packages()
    if cutouts is None:
        cutouts = installed_cutouts()
        if cutouts == "shapes":
            typer.echo("OpenMoji is not installed (pip install 'uniperceiver[demo]'): the scenes are drawn shapes")
    config = demo_config(cutouts, minutes, seed)
    checkpoint = train_in_processes(config, out, processes, resume, device, show_bar=True)
    evaluate_checkpoint(checkpoint, None, None, out / "report.json", device)
    typer.echo(f"checkpoint: {checkpoint}\nreport: {out / 'report.html'} (a web page), {out / 'report.json'}")
