"""Predictions on disk and on the terminal: JSON, CSV, COCO and annotated pictures."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TextIO, get_args

from uniperceiver.atomic_files import name_while_written, write_whole
from uniperceiver.picture_sources import Failure, NamedPicture
from uniperceiver.predictions import Answer, Caption, Classification, Detection, Embedding, Match

Prediction = Classification | Detection | Caption | Match | Answer | Embedding
Format = Literal["json", "csv", "coco", "pictures"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ANNOTATED = re.compile(r'"annotated": "(\d{4,}_[\w\- ]*\.png)"')


class Sink(Protocol):
    """Where predictions go, one by one."""

    def write(self, picture: NamedPicture, prediction: Prediction) -> None:
        """Take a prediction."""
        ...

    def fail(self, failure: Failure) -> None:
        """Take note of a picture without one."""
        ...


class Terminal:
    """Predictions printed: for people, or one JSON object a line, or CSV with a header."""

    def __init__(self, form: Literal["text", "json", "csv"], echo: Callable[[str], object]) -> None:
        self.form = form
        self.echo = echo
        self._has_header = False

    def write(self, picture: NamedPicture, prediction: Prediction) -> None:
        """Print a prediction."""
        if self.form == "json":
            self.echo(json.dumps({"file": picture.name} | prediction.to_json(), ensure_ascii=False))
        elif self.form == "csv":
            columns, rows = table(picture.name, prediction)
            for row in rows if self._has_header else [columns, *rows]:
                self.echo(_csv_line(row))
            self._has_header = True
        else:
            lines = prediction.lines() or ["nothing found"]
            self.echo("\n".join([picture.name, *(f"  {line}" for line in lines)]))

    def fail(self, failure: Failure) -> None:
        """Nothing: failures are reported at the end."""


class PredictionFolder:
    """A folder with predictions, a context manager: files get their names when everything is in them.

    Until then, and after an error, they are called ``.predictions.json.writing`` and so on.

    ``predictions.json`` is a list of one object per picture, ``predictions.csv`` a table of one row per name, object or
    text, ``predictions.coco.json`` a COCO data set of detections; ``0000_NAME.png``, … are annotated pictures. In JSON
    a picture without a prediction has ``error``.

    Annotated pictures that an earlier ``predictions.json`` names go when a new one with pictures takes its place.
    """

    def __init__(self, folder: Path, formats: Sequence[Format], categories: Sequence[str] = ()) -> None:
        """``categories``: names of the labels of detections, for COCO."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.formats = formats
        self.number = 0
        self._files: dict[Path, TextIO] = {}
        self._json = self._open("predictions.json") if "json" in formats else None
        self._csv = self._open("predictions.csv") if "csv" in formats else None
        self._coco = CocoDataset(categories) if "coco" in formats else None
        self._earlier = _annotated(folder / "predictions.json") if {"json", "pictures"} <= set(formats) else set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write_json("\n]\n" if self.number else "[]\n")
        for file in self._files.values():
            file.close()
        if kind is None:
            for path in self._files:
                name_while_written(path).replace(path)
            if self._coco is not None:
                write_whole(self.folder / "predictions.coco.json", json.dumps(self._coco.to_json()).encode())
            for name in self._earlier:
                (self.folder / name).unlink(missing_ok=True)

    def write(self, picture: NamedPicture, prediction: Prediction) -> None:
        """Add a prediction to every file."""
        entry: dict[str, Any] = {"file": picture.name}
        if "pictures" in self.formats and not isinstance(prediction, Embedding):
            # Pictures of the same name may come from different folders: the number keeps them apart.
            entry["annotated"] = f"{self.number:04d}_{_stem(picture.name)}.png"
            self._earlier.discard(entry["annotated"])
            # Of 12 million pixels 0.7 s instead of 2.6, and the file is a fifth larger.
            prediction.draw().save(self.folder / entry["annotated"], compress_level=1)
        if self._json is not None:
            self._add_entry(entry | prediction.to_json())
        if self._csv is not None:
            columns, rows = table(picture.name, prediction)
            for line in rows if self._csv.tell() else [columns, *rows]:
                self._csv.write(f"{_csv_line(line)}\n")
        if self._coco is not None and isinstance(prediction, Detection):
            self._coco.add(picture, prediction)
        self.number += 1

    def fail(self, failure: Failure) -> None:
        """Take note of a picture without a prediction."""
        if self._json is not None:
            self._add_entry({"file": failure.name, "error": failure.reason})
        self.number += 1

    def _add_entry(self, entry: dict[str, Any]) -> None:
        self._write_json((",\n" if self.number else "[\n") + json.dumps(entry, ensure_ascii=False))

    def _write_json(self, text: str) -> None:
        if self._json is not None:
            self._json.write(text)

    def _open(self, name: str) -> TextIO:
        path = self.folder / name
        # A file's name may hold bytes that are not UTF-8, which JSON reads again as they are written here.
        self._files[path] = name_while_written(path).open("w", encoding="utf-8", errors="backslashreplace")
        return self._files[path]


class CocoDataset:
    """Detections as a COCO data set; label i has the category id i + 1."""

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories = categories
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, picture: NamedPicture, detection: Detection) -> None:
        """Add a picture and its objects."""
        height, width = picture.pixels.shape[1:]
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": picture.name, "height": height, "width": width})
        areas = [] if detection.masks is None else [int(mask.sum()) for mask in detection.masks]
        for place, entry in enumerate(detection.to_coco(number)):
            area = areas[place] if areas else entry["bbox"][2] * entry["bbox"][3]
            self.annotations.append({"id": len(self.annotations) + 1, **entry, "area": area, "iscrowd": 0})

    def to_json(self) -> dict[str, Any]:
        """The data set as plain data."""
        categories = [{"id": place + 1, "name": name} for place, name in enumerate(self.categories)]
        return {"images": self.images, "categories": categories, "annotations": self.annotations}


def read_formats(given: str) -> list[Format]:
    """Formats written ``"json,csv"``; ValueError for one that there is not."""
    names = [name.strip() for name in given.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise ValueError(f"--format {given!r}: expected some of {', '.join(FORMATS)}, with commas between them")
    return [known for known in FORMATS if known in names]


def table(name: str, prediction: Prediction) -> tuple[list[object], list[list[object]]]:
    """A prediction as columns and rows."""
    match prediction:
        case Classification():
            pairs = zip(prediction.names, prediction.probabilities.tolist(), strict=True)
            return ["file", "name", "probability"], [[name, *pair] for pair in pairs]
        case Detection():
            objects = prediction.objects()
            rows: list[list[object]] = [[name, label, score, *box.round(2).tolist()] for box, label, score in objects]
            return ["file", "name", "score", "x0", "y0", "x1", "y1"], rows
        case Caption():
            return ["file", "caption", "log_probability"], [[name, prediction.text, prediction.log_probability]]
        case Match():
            numbers = zip(
                prediction.texts, prediction.similarities.tolist(), prediction.probabilities.tolist(), strict=True
            )
            return ["file", "text", "similarity", "probability"], [[name, *row] for row in numbers]
        case Answer():
            answers = zip(prediction.answers, prediction.probabilities.tolist(), strict=True)
            return ["file", "answer", "probability"], [[name, *pair] for pair in answers]
        case Embedding():
            vector = prediction.vector.tolist()
            return ["file", *(f"x{place}" for place in range(len(vector)))], [[name, *vector]]


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _annotated(path: Path) -> set[str]:
    """Names of annotated pictures in a ``predictions.json``, if it is there. Line by line: masks may take gigabytes."""
    if not path.is_file():
        return set()
    with path.open(encoding="utf-8", errors="replace") as file:
        return {found[1] for line in file if (found := _ANNOTATED.search(line))}


def _stem(name: str) -> str:
    """The last part of a name without its ending, and nothing in it that a file system refuses."""
    path, _, frame = name.partition("#")
    stem = Path(path.partition("?")[0]).stem + (f"_{frame}" if frame else "")
    return "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in stem)[:80]
