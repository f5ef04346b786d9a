"""What the commands of the verbs do alike: read what is given, ask, print or write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from uniperceiver.config import TaskKind
    from uniperceiver.picture_sources import Failure, NamedPicture
    from uniperceiver.prediction_files import Format, Prediction, Sink
    from uniperceiver.predictor import Predictor

    Ask = Callable[[list[Tensor]], Sequence[Prediction]]
    Read = Callable[[str], Iterator[NamedPicture | Failure]]

BATCH = 8
"""Pictures and videos read and computed together, at most."""
BATCH_PIXELS = 2**23
"""And their pixels: a hundred masks of eight million are 0.8 GB. One picture may have more."""


@dataclass(frozen=True)
class Given:
    """What a command is to look at, and where the results go."""

    sources: list[str]
    out: Path | None
    """A folder; None: the terminal."""
    formats: list[Format]
    is_text: bool
    """Whether no format was asked for: on the terminal, lines for people."""


def file_reader(predictor: Predictor, kind: TaskKind, every: int | None) -> Read:
    """Reads files as a kind of task sees them: videos whole if it takes them, or ``every`` so many frames."""
    from uniperceiver.picture_sources import read_pictures

    return lambda source: read_pictures(source, every, predictor.video_reader(kind))


def given(
    pictures: list[str], out: Path | None, formats: str | None, finds_boxes: bool = False, is_drawn: bool = True
) -> Given:
    """What ``run`` is to do, checked: mistakes are worth knowing before a model is loaded.

    ``finds_boxes`` and ``is_drawn``: whether the verb's answers are boxes, and whether pictures can show them.

    Raises:
        ValueError: an unknown format, or one that does not suit the verb or the terminal.
        OSError: a folder or pattern gives no picture, or ``out`` is a file.
    """
    from uniperceiver.picture_sources import find_sources
    from uniperceiver.prediction_files import read_formats

    chosen = read_formats(formats or ("json,pictures" if out is not None and is_drawn else "json"))
    if "pictures" in chosen and not is_drawn:
        raise ValueError(f"--format {formats}: a vector cannot be drawn into a picture, take json or csv")
    if "coco" in chosen and not finds_boxes:
        raise ValueError("--format coco is for detect: the other verbs find no boxes")
    if out is None and (len(chosen) > 1 or chosen[0] not in ("json", "csv")):
        raise ValueError(f"--format {formats} writes files: say where with --out, or take json or csv")
    if out is not None and out.exists() and not out.is_dir():
        raise FileExistsError(f"--out {out} is a file: give a folder, which need not exist")
    return Given(find_sources(pictures), out, chosen, is_text=formats is None)


def run(work: Given, ask: Ask, read: Read, categories: Sequence[str] = ()) -> None:
    """Predict for everything given, show how far it is, report at the end what gave no picture, exit with 1 if any."""
    from uniperceiver.prediction_files import PredictionFolder, Terminal

    if work.out is None:
        form: Literal["text", "json", "csv"] = "text" if work.is_text else "csv" if "csv" in work.formats else "json"
        failures, done = _predict(work.sources, ask, read, Terminal(form, typer.echo))
    else:
        with PredictionFolder(work.out, work.formats, categories) as folder:
            failures, done = _predict(work.sources, ask, read, folder)
        typer.echo(f"{done} of {done + len(failures)} pictures: {work.out}")
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
