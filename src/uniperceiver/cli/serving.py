"""The commands that bring a model elsewhere: ``serve`` by HTTP, ``export`` to other runtimes, ``pack`` to give away."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Literal

import typer

from uniperceiver.cli.options import Device, FoundModel
from uniperceiver.cli.prediction import NANO, InPrecision, Labels, ModelName, given_names


def serve(
    model: ModelName = NANO,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    upload_mib: Annotated[float, typer.Option("--upload-mib", help="Largest request, MiB.")] = 16,
    pixels: Annotated[int, typer.Option(help="Largest picture, or frame of a video.")] = 16_000_000,
    video_frames: Annotated[int, typer.Option("--video-frames", help="Longest video, frames.")] = 6_000,
    labels: Annotated[int, typer.Option(help="Most labels, answers or texts of a request.")] = 2000,
    text_characters: Annotated[int, typer.Option(help="Longest text.")] = 1000,
    all_characters: Annotated[int, typer.Option(help="Longest all texts of a request together.")] = 60_000,
    queue: Annotated[int, typer.Option(help="Requests that may wait for the model.")] = 64,
    seconds: Annotated[float, typer.Option(help="Longest that a request may take.")] = 30,
    batch: Annotated[int, typer.Option(help="Requests computed together.")] = 8,
    window_seconds: Annotated[
        float, typer.Option("--window-seconds", help="Longest that an idle model waits for more requests to a batch.")
    ] = 0.005,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch pictures from public http(s) addresses when asked to.")
    ] = False,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Serve a model: a page to try it, an HTTP endpoint for each verb, health and metrics."""
    try:
        from uniperceiver.serve.limits import Limits
        from uniperceiver.serve.running import check_address
        from uniperceiver.serve.running import serve as run
    except ModuleNotFoundError as error:
        raise ImportError(f"serve needs {error.name}: pip install 'uniperceiver[serve]'") from error
    from uniperceiver.predictor import Predictor

    if not 0 < upload_mib < inf:
        raise ValueError(f"--upload-mib must be above 0 and finite, got {upload_mib}")
    limits = Limits(
        upload_bytes=round(upload_mib * 2**20),
        pixels=pixels,
        video_frames=video_frames,
        labels=labels,
        text_characters=text_characters,
        all_characters=all_characters,
        queue=queue,
        seconds=seconds,
        batch=batch,
        window_seconds=window_seconds,
    )
    check_address(host, port)
    predictor = Predictor.from_pretrained(model, device, precision=precision)
    run(predictor, Path(model).name, host, port, limits, allow_urls)


def export(
    model: FoundModel,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")],
    to: Annotated[Literal["onnx"], typer.Option("--to", help="The format.")] = "onnx",
    verb: Annotated[
        list[str] | None,
        typer.Option("--verb", help="embed_image, embed_text, classify or detect. Repeatable. Default: all it can."),
    ] = None,
    labels: Labels = None,
    size: Annotated[
        str | None, typer.Option("--size", help="HEIGHTxWIDTH of pictures, multiples of 32. Default: as evaluated.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with PyTorch in onnxruntime; exit with 1 where they differ.")
    ] = False,
) -> None:
    """Write parts of a model as files for other runtimes, each with a JSON that says how to use it."""
    try:
        from uniperceiver.export.onnx_files import export_onnx, parse_size, parse_verbs
    except ModuleNotFoundError as error:
        raise ImportError(f"export needs {error.name}: pip install 'uniperceiver[export]'") from error
    from uniperceiver.predictor import Predictor

    verbs = parse_verbs(verb)
    canvas = None if size is None else parse_size(size)
    predictor = Predictor.from_pretrained(model)
    is_equal = True
    for exported in export_onnx(predictor, out, verbs, given_names("--labels", labels), canvas):
        typer.echo(f"{exported.path} ({exported.path.stat().st_size / 2**20:.1f} MiB)")
        if verify:
            from uniperceiver.export.verification import verify as compare

            for line in (comparison := compare(exported)).lines():
                typer.echo(f"  {line}")
            is_equal = is_equal and comparison.is_equal
    if not is_equal:
        raise typer.Exit(1)


def pack(
    model: FoundModel,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the small checkpoint.")],
) -> None:
    """Make a checkpoint small: half precision, no unused experts, no language model that a package has."""
    from uniperceiver.checkpoint import load_checkpoint
    from uniperceiver.convert.packing import pack as write
    from uniperceiver.predictor.model_folders import find_checkpoint

    for line in write(load_checkpoint(find_checkpoint(model)), out).lines():
        typer.echo(line)
