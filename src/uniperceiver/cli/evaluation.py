"""The commands that describe a model and its training: ``info``, ``evaluate``, ``curves``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uniperceiver.cli.options import Adapter, Device, FoundModel, Paths, Values, found_model, places

Data = Annotated[
    list[Path] | None,
    typer.Option("--data", help="A folder or file of data in any known format to evaluate on. Repeatable."),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Where report.json goes, and report.html with it. Default: beside a checkpoint of yours, in the current "
        "folder for one of the package or the hub.",
    ),
]


def info(
    model: Annotated[str, typer.Argument(help="A preset, a model YAML, or what the verbs take as --model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    height: Annotated[int, typer.Option(min=1, help="Picture height for the FLOPs.")] = 224,
    width: Annotated[int, typer.Option(min=1, help="Picture width for the FLOPs.")] = 224,
) -> None:
    """Parameters by module, total and deployed, widths, levels and FLOPs."""
    from uniperceiver.config import load_config
    from uniperceiver.linear import describe_products
    from uniperceiver.model.layers.deformable_attention_kernel import describe_kernel
    from uniperceiver.model_info import describe
    from uniperceiver.precision import describe_precisions

    found = found_model(model)
    config = str(Path(found) / "config.yaml") if Path(found).is_dir() else found
    account = describe(load_config(config), (height, width))
    if as_json:
        typer.echo(json.dumps(account.to_json(), indent=2))
    else:
        from rich.console import Console

        Console().print(account.table())
        typer.echo(describe_kernel())
        typer.echo(describe_products())
        typer.echo(describe_precisions())


def evaluate(
    model: FoundModel,
    data: Data = None,
    out: ReportFile = None,
    stream: Annotated[list[str] | None, typer.Option("--stream", help="Only these streams. Repeatable.")] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="A training configuration whose evaluation data to use.")
    ] = None,
    path: Paths = None,
    values: Values = None,
    average: Annotated[
        bool, typer.Option("--average", help="Evaluate the moving average of the weights, kept beside them.")
    ] = False,
    adapter: Adapter = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions", help="Folder for STREAM.json: answers to questions as the official evaluation reads them."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes that load data ahead: several where a GPU computes.")
    ] = 0,
    device: Device = "cpu",
) -> None:
    """Evaluate a model on what was held out in its training, on the data of a configuration, or on --data.

    Prints a table; writes report.json, and report.html with curves and examples.
    """
    from uniperceiver.config import load_train_config
    from uniperceiver.data.recognition.recognise import recognise
    from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint, write_predictions
    from uniperceiver.predictor.model_folders import find_checkpoint

    if config and data:
        raise ValueError("evaluate takes the data of --config or --data, not both")
    if (path or values) and not config:
        raise ValueError("--path and --set fill the places of a configuration: give --config")
    folder = find_checkpoint(model)
    settings = load_train_config(config, places(path, values), {"model": str(folder)}) if config else None
    found = [entry for given in data or [] for entry in recognise(given)]
    report = out or _report_folder(model, folder) / "report.json"
    reports = evaluate_checkpoint(folder, settings, stream, report, device, average, adapter, found, workers)
    for name, measured in reports.items() if found else ():
        typer.echo(f"{name}: {measured.dataset}")
    typer.echo(f"report: {report.with_suffix('.html')}")
    if predictions is not None:
        typer.echo(f"predictions: {', '.join(map(str, write_predictions(predictions, reports)))}")


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


def _report_folder(model: str, folder: Path) -> Path:
    """Beside a checkpoint of one's own; of one of the package or of the hub's cache, the current folder."""
    from uniperceiver.predictor.model_folders import PACKAGED

    is_own = Path(model).expanduser().is_dir() and PACKAGED.resolve() not in folder.resolve().parents
    return folder.parent if is_own else Path()
