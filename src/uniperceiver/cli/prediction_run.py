"""What the commands of the verbs do alike: read what is given, ask, print or write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from uniperceiver.config import TaskKind
    from uniperceiver.picture_sources import Failure, NamedPicture
    from uniperceiver.prediction_files import Prediction, Sink
    from uniperceiver.predictor import Predictor

    Ask = Callable[[list[Tensor]], Sequence[Prediction]]
    Read = Callable[[str], Iterator[NamedPicture | Failure]]

BATCH = 8
"""Pictures and videos read and computed together, at most."""
BATCH_PIXELS = 2**23
"""And their pixels: a hundred masks of eight million are 0.8 GB. One picture may have more."""


def file_reader(predictor: Predictor, kind: TaskKind, every: int | None) -> Read:
    """Reads files as a kind of task sees them: videos whole if it takes them, or ``every`` so many frames."""
    from uniperceiver.picture_sources import read_pictures

    return lambda source: read_pictures(source, every, predictor.video_reader(kind))


def run(
    pictures: list[str],
    ask: Ask,
    read: Read,
    out: Path | None,
    formats: str | None,
    categories: Sequence[str] = (),
) -> None:
    """Predict for everything given, show how far it is, report at the end what gave no picture, exit with 1 if any."""
    from uniperceiver.picture_sources import find_sources
    from uniperceiver.prediction_files import PredictionFolder, Terminal, read_formats

    chosen = read_formats(formats or ("json,pictures" if out is not None else "json"))
    if "coco" in chosen and not categories:
        raise ValueError("--format coco is for detect: the other verbs find no boxes")
    sources = find_sources(pictures)
    if out is None:
        form = "text" if formats is None else chosen[0]
        if len(chosen) > 1 or form == "coco" or form == "pictures":
            raise ValueError(f"--format {formats} writes files: say where with --out, or take json or csv")
        failures, done = _predict(sources, ask, read, Terminal(form, typer.echo))
    else:
        with PredictionFolder(out, chosen, categories) as folder:
            failures, done = _predict(sources, ask, read, folder)
        typer.echo(f"{done} of {done + len(failures)} pictures: {out}")
    for failure in failures:
        typer.echo(f"not read: {failure.name}: {failure.reason}", err=True)
    if failures:
        raise typer.Exit(1)


def _predict(sources: Sequence[str], ask: Ask, read: Read, sink: Sink) -> tuple[list[Failure], int]:
    """Everything through the model and into the sink, in batches; what failed, and the number that did not."""
    from rich.console import Console
    from rich.progress import track

    from uniperceiver.picture_sources import Failure

    batch: list[NamedPicture] = []
    failures: list[Failure] = []
    done = 0
    console = Console(stderr=True)
    is_quiet = len(sources) < 2 or not console.is_terminal

    def flush() -> int:
        for picture, prediction in zip(batch, ask([p.pixels for p in batch]) if batch else [], strict=True):
            sink.write(picture, prediction)
        number = len(batch)
        batch.clear()
        return number

    for source in track(sources, "looking", console=console, disable=is_quiet, transient=True):
        for found in read(source):
            if isinstance(found, Failure):
                done += flush()  # results keep the order of what was given
                failures.append(found)
                sink.fail(found)
                continue
            if len(batch) == BATCH or sum(map(_area, [*batch, found])) > BATCH_PIXELS:
                done += flush()
            batch.append(found)
    return failures, done + flush()


def _area(picture: NamedPicture) -> int:
    """Pixels of a picture, or of one frame of a video."""
    height, width = picture.pixels.shape[-2:]
    return height * width
