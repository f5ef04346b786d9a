"""The commands of the retrieval index: ``index build``, ``index add``, ``index search``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uniperceiver.cli.options import Device
from uniperceiver.cli.prediction import NANO, ModelName

if TYPE_CHECKING:
    from uniperceiver.predictor import Predictor
    from uniperceiver.retrieval_index import RetrievalIndex

app = typer.Typer(help="Find pictures by texts or pictures.", no_args_is_help=True)
IndexFolder = Annotated[Path, typer.Argument(help="The folder of the index.")]
OwnModel = Annotated[
    str | None, typer.Option("--model", help="The model that made the index, if it is no longer where it was.")
]


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures; those in folders below it count too.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the index.")],
    model: ModelName = NANO,
    device: Device = "cpu",
) -> None:
    """Make an index of a folder, go on with one that was interrupted, or bring one up to date.

    Pictures that are new or have changed are added, those that are gone are forgotten.
    """
    from uniperceiver.predictor import Predictor
    from uniperceiver.retrieval_index import RetrievalIndex

    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of pictures")
    predictor = Predictor.from_pretrained(model, device)
    _update(RetrievalIndex.open_or_create(out, predictor, model), predictor, [folder], missing_below=[folder])


@app.command()
def add(
    index: IndexFolder,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders with all that is below them.")],
    model: OwnModel = None,
    device: Device = "cpu",
) -> None:
    """Add pictures to an index; nothing in it is computed again."""
    opened, predictor = _open(index, model, device)
    _update(opened, predictor, pictures)


@app.command()
def search(
    index: IndexFolder,
    query: Annotated[str, typer.Argument(help="A text, or the file of a picture.")],
    top: Annotated[int, typer.Option("--top", min=1, help="How many pictures to show.")] = 10,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Look only where similar pictures lie (FAISS), for large indexes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print an object a line instead of text.")] = False,
    model: OwnModel = None,
    device: Device = "cpu",
) -> None:
    """Find the pictures that fit a text, or are like a picture."""
    from uniperceiver.data.images import PICTURE_SUFFIXES
    from uniperceiver.retrieval_index.approximate import ApproximateSearch

    is_picture = len(query) < 1024 and Path(query).is_file()
    if not is_picture and Path(query).suffix.lower() in PICTURE_SUFFIXES:
        raise FileNotFoundError(f"no picture {query}: a text to search for does not end like the name of a file")
    opened, predictor = _open(index, model, device)
    vector = predictor.embed_image(query)[0] if is_picture else predictor.embed_text(query)[0]
    for hit in (ApproximateSearch(opened) if approximate else opened).search(vector, top):
        line = json.dumps({"file": hit.path, "similarity": hit.similarity}, ensure_ascii=False)
        typer.echo(line if as_json else f"{hit.similarity:.3f}  {hit.path}")


def _open(folder: Path, model: str | None, device: str) -> tuple[RetrievalIndex, Predictor]:
    from uniperceiver.predictor import Predictor
    from uniperceiver.retrieval_index import RetrievalIndex

    index = RetrievalIndex.open(folder)
    predictor = Predictor.from_pretrained(model or index.model, device)
    index.check(predictor)
    return index, predictor


def _update(
    index: RetrievalIndex, predictor: Predictor, given: Sequence[Path], missing_below: Sequence[Path] = ()
) -> None:
    """Bring an index up to date, show how far it is, say what changed, exit with 1 if a picture could not be read."""
    from rich.console import Console
    from rich.progress import Progress

    from uniperceiver.retrieval_index import pictures_below

    paths: list[Path] = []
    with_videos = predictor.video_reader("retrieval") is not None
    for path in given:
        below: Iterable[Path] = pictures_below(path, with_videos) if path.is_dir() else [path]
        paths += below
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("looking", total=len(paths))
        changes = index.update(predictor, paths, missing_below, progress=lambda: bar.advance(task))
    total = len(index.entries())
    typer.echo(
        f"{index.folder}: {total} pictures ({changes.added} added, {changes.unchanged} unchanged, "
        f"{changes.removed} removed)"
    )
    for failure in changes.failures:
        typer.echo(f"not read: {failure.name}: {failure.reason}", err=True)
    if changes.failures:
        raise typer.Exit(1)
