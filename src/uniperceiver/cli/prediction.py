"""The commands that use a model, one for each verb: ``classify``, ``detect``, ``caption``, ``match``, ``answer``, …"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from uniperceiver.cli.options import Adapter, Device
from uniperceiver.cli.prediction_run import file_reader, given, run

if TYPE_CHECKING:
    from uniperceiver.config import Precision
    from uniperceiver.predictor import Predictor

Pictures = Annotated[
    list[str], typer.Argument(help='Picture or video files, folders, patterns ("photos/**/*.jpg"), http(s) addresses.')
]
ModelName = Annotated[
    str, typer.Option("--model", help="A checkpoint folder, a packaged checkpoint, or owner/name on the hub.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the results. Default: they are printed on the terminal.")
]
Formats = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Some of json, csv, coco (detect), pictures, with commas between them. Default: json,pictures with --out, "
        "text without. Without --out: json (an object a line) or csv.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help='Class names, "cat, red car", or a text file with one a line. Default: as trained.'),
]
Every = Annotated[
    int | None,
    typer.Option(
        "--every",
        min=1,
        help="Of a video, look at every n-th frame. Default: 30; as a whole, where model and verb take videos.",
    ),
]
InPrecision = Annotated[
    Literal["float32", "bfloat16", "auto"],
    typer.Option(
        "--precision",
        help="bfloat16 is quicker where the processor or GPU has it, and a little less exact; auto: only there.",
    ),
]
NANO = "nano"


def classify(
    pictures: Pictures,
    labels: Labels = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    out: Out = None,
    formats: Formats = None,
    every: Every = None,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Name what pictures show."""
    names = given_names("--labels", labels)
    work = given(pictures, out, formats)
    predictor = load_predictor(model, device, adapter, precision)
    read = file_reader(predictor, "classification", every)
    run(work, lambda batch: predictor.classify(batch, names), read)


def detect(
    pictures: Pictures,
    labels: Labels = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    out: Out = None,
    formats: Formats = None,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Keep objects with at least this score.")] = 0.1,
    every: Every = None,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Find objects: boxes and masks."""
    names = given_names("--labels", labels)
    work = given(pictures, out, formats, finds_boxes=True)
    predictor = load_predictor(model, device, adapter, precision)
    categories = predictor.labels("detection") if names is None else names
    read = file_reader(predictor, "detection", every)
    run(work, lambda batch: predictor.detect(batch, names, threshold), read, categories)


def caption(
    pictures: Pictures,
    model: ModelName = NANO,
    adapter: Adapter = None,
    out: Out = None,
    formats: Formats = None,
    every: Every = None,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Say what pictures show in a sentence."""
    work = given(pictures, out, formats)
    predictor = load_predictor(model, device, adapter, precision)
    run(work, predictor.caption, file_reader(predictor, "captioning", every))


def match(
    pictures: Pictures,
    text: Annotated[list[str] | None, typer.Option("--text", help="A text to compare with. Repeatable.")] = None,
    texts: Annotated[Path | None, typer.Option("--texts", help="A file with one text a line.")] = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    out: Out = None,
    formats: Formats = None,
    every: Every = None,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Say how well texts fit pictures: cosines, and probabilities among the texts."""
    compared = list(text or []) + ([] if texts is None else read_lines("--texts", texts))
    if not compared:
        raise ValueError("match needs texts: give --text, once or more, or --texts with a file")
    work = given(pictures, out, formats)
    predictor = load_predictor(model, device, adapter, precision)
    read = file_reader(predictor, "retrieval", every)
    run(work, lambda batch: predictor.match(batch, compared), read)


def answer(
    pictures: Pictures,
    question: Annotated[str, typer.Option("--question", help="The question, asked of every picture.")],
    answers: Annotated[
        str | None, typer.Option("--answers", help='"yes, no", or a text file with one a line. Default: as trained.')
    ] = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    out: Out = None,
    formats: Formats = None,
    every: Every = None,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Answer a question about pictures."""
    candidates = given_names("--answers", answers)
    work = given(pictures, out, formats)
    predictor = load_predictor(model, device, adapter, precision)
    read = file_reader(predictor, "visual_question_answering", every)
    run(work, lambda batch: predictor.answer(batch, question, candidates), read)


def fill(
    texts: Annotated[list[str], typer.Argument(help='Texts with [MASK] where a word is missing: "a [MASK] car".')],
    picture: Annotated[str | None, typer.Option("--picture", help="A picture that the texts are about.")] = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an object a line instead of text.")] = False,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Fill in the missing words of texts."""
    import json

    filled = load_predictor(model, device, adapter, precision).fill_mask(texts, picture)
    for text, slots in zip(texts, filled, strict=True):
        if as_json:
            typer.echo(json.dumps({"text": text, "slots": [slot.to_json() for slot in slots]}, ensure_ascii=False))
        else:
            typer.echo("\n".join([text, *("  " + ", ".join(slot.lines()) for slot in slots)]))


def embed(
    pictures: Annotated[list[str] | None, typer.Argument(help="Pictures, as for the other verbs.")] = None,
    text: Annotated[list[str] | None, typer.Option("--text", help="Embed this text. Repeatable.")] = None,
    model: ModelName = NANO,
    adapter: Adapter = None,
    out: Out = None,
    formats: Formats = None,
    every: Every = None,
    device: Device = "cpu",
    precision: InPrecision = "float32",
) -> None:
    """Turn pictures, or texts, into vectors of unit length; products of two are cosines."""
    import json

    from uniperceiver.predictions import Embedding

    if bool(pictures) == bool(text):
        raise ValueError("embed takes either pictures or --text")
    if pictures:
        work = given(pictures, out, formats, is_drawn=False)
        predictor = load_predictor(model, device, adapter, precision)
        read = file_reader(predictor, "retrieval", every)
        run(work, lambda batch: [Embedding(v) for v in predictor.embed_image(batch)], read)
        return
    if out is not None or formats is not None:
        raise ValueError("embed --text prints an object a line: it takes neither --out nor --format")
    predictor = load_predictor(model, device, adapter, precision)
    for one, vector in zip(text or [], predictor.embed_text(text or []), strict=True):
        typer.echo(json.dumps({"text": one} | Embedding(vector).to_json(), ensure_ascii=False))


def load_predictor(model: str, device: str, adapter: Path | None, precision: Precision) -> Predictor:
    """The model of ``--model`` and ``--adapter``."""
    from uniperceiver.predictor import Predictor

    return Predictor.from_pretrained(model, device, adapter=adapter, precision=precision)


def given_names(option: str, given: str | None) -> list[str] | None:
    """Names of ``"cat, red car"`` or of a text file with one a line."""
    if given is None:
        return None
    if len(given) < 1024 and Path(given).is_file():
        return read_lines(option, Path(given))
    if given.endswith(".txt"):
        raise FileNotFoundError(f"{option}: no file {given}")
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise ValueError(f"{option} {given!r} holds no name: write names with commas between them, or a file of lines")
    return names


def read_lines(option: str, path: Path) -> list[str]:
    """The lines of a text file that are not blank, without blanks around them; ValueError if there are none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ValueError(f"{option} {path} is not a text file in UTF-8") from None
    if not lines:
        raise ValueError(f"{option} {path} holds nothing: write one a line")
    return lines
