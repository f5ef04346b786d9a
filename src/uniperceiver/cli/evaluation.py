"""The commands that describe a model: ``info``, ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uniperceiver.cli.options import Device, Model, Paths, named_paths


def info(
    model: Annotated[str, typer.Argument(help="A preset, a model YAML or a checkpoint folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    height: Annotated[int, typer.Option(min=1, help="Picture height for the FLOPs.")] = 224,
    width: Annotated[int, typer.Option(min=1, help="Picture width for the FLOPs.")] = 224,
) -> None:
    """Parameters by module, total and deployed, widths, levels and FLOPs."""
    from uniperceiver.config import load_config
    from uniperceiver.linear import describe_products
    from uniperceiver.model.layers.deformable_attention_kernel import describe_kernel
    from uniperceiver.model_info import describe

    config_file = Path(model) / "config.yaml" if Path(model).is_dir() else None
    account = describe(load_config(str(config_file) if config_file else model), (height, width))
    if as_json:
        typer.echo(json.dumps(account.to_json(), indent=2))
    else:
        from rich.console import Console

        Console().print(account.table())
        typer.echo(describe_kernel())
        typer.echo(describe_products())


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
    average: Annotated[
        bool, typer.Option("--average", help="Evaluate the moving average of the weights, kept beside them.")
    ] = False,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="An adapter.safetensors to put onto the model first.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Evaluate every stream on its held-out data: a table, report.json, and report.html with curves and examples."""
    from uniperceiver.config import load_train_config
    from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint

    settings = load_train_config(config, named_paths(path)) if config else None
    report = out or model.parent / "report.json"
    evaluate_checkpoint(model, settings, stream, report, device, average, adapter)
    typer.echo(f"report: {report.with_suffix('.html')}")
