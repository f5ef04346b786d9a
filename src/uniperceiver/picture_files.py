"""Predictions for files: find the pictures, ask the predictor, write JSON and annotated pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from uniperceiver.data.images import PICTURE_SUFFIXES, ImageError, read_image
from uniperceiver.predictions import Caption, Classification, Detection
from uniperceiver.render import draw_detection


@dataclass(frozen=True)
class Failure:
    """A picture that gave no prediction."""

    path: Path
    reason: str


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the pictures in them (not below), sorted by name.

    Raises:
        FileNotFoundError: something given does not exist, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)
            if not inside:
                raise FileNotFoundError(f"no picture in {path}: looked for {', '.join(sorted(PICTURE_SUFFIXES))}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"no picture {path}")
    return found


def read_labels(given: str) -> list[str]:
    """Names from ``"cat, red car"``, or from a text file with one name a line."""
    path = Path(given)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else given.split(",")
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError(f"--labels {given!r} holds no name: write names with commas between them, or a file of lines")
    return names


def predict_files(
    pictures: Iterable[Path],
    predict: Callable[[Path], Classification | Detection | Caption],
    out: Path,
    threshold: float,
) -> list[Failure]:
    """Write ``out/predictions.json`` and, for detections of at least ``threshold``, ``out/NAME.png``.

    A picture that cannot be read does not stop the others; it is returned, and named in the JSON.
    """
    out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    failures: list[Failure] = []
    for index, path in enumerate(pictures):
        try:
            prediction = predict(path)
        except (ImageError, OSError) as error:
            failures.append(Failure(path, str(error)))
            entries.append({"file": str(path), "error": str(error)})
            continue
        entry: dict[str, object] = {"file": str(path)}
        if isinstance(prediction, Detection):
            prediction = prediction.at_least(threshold)
            # Pictures of the same name may come from different folders: the number keeps them apart.
            name = f"{index:04d}_{path.stem}.png"
            picture = Image.fromarray(read_image(path).permute(1, 2, 0).numpy())
            draw_detection(picture, prediction).save(out / name)
            entry["annotated"] = name
        entries.append(entry | prediction.to_json())
    (out / "predictions.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return failures
