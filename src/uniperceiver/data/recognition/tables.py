"""CSV, TSV, JSON Lines and text files recognised by their columns and lines."""

from __future__ import annotations

import csv
from pathlib import Path

from uniperceiver.config import ImageTextPairsConfig, PlainTextConfig, VideoCsvConfig
from uniperceiver.data.datasets.image_text_pairs import LINES_SUFFIXES, LONGEST_LINE, TABLE_SUFFIXES, read_rows
from uniperceiver.data.datasets.video_csv import KINETICS_COLUMNS, VIDEO_SUFFIXES
from uniperceiver.data.recognition.found import Part, RecognitionError, split_along
from uniperceiver.data.recognition.picture_folders import picture_folder

IMAGE_COLUMNS = ("image", "image_path", "file_name", "filename", "file", "filepath", "path", "img", "img_path")
TEXT_COLUMNS = ("caption", "captions", "text", "sentence", "sentences", "title", "description", "comment")
LOOKED_FOR = (
    f"a column with pictures ({', '.join(IMAGE_COLUMNS)}) and one with texts ({', '.join(TEXT_COLUMNS)}), Kinetics' "
    f"columns ({', '.join(KINETICS_COLUMNS)}), or lines of a video's path and its class"
)
SAMPLE = 5
NO_TEXTS = frozenset({"readme", "license", "licence", "classes", "names", "labels", "requirements", "attribution"})
"""Names, without suffix, of text files in a folder that are not taken for texts to train on."""


def table_part(file: Path) -> Part | None:
    """The data set in a CSV, TSV or JSON Lines file; None where it is of no known kind.

    Raises:
        RecognitionError: it is, but its pictures or videos are not found.
    """
    if lists_videos(file):
        video = VideoCsvConfig(str(file), str(_video_folder(file)), classes=_class_file(file))
        return Part(video, file, split_along(file), video.kind)
    rows = [row for _, row in zip(range(SAMPLE), (row for _, row in read_rows(file)), strict=False)]
    columns = list(rows[0]) if rows else []
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    text = next((name for name in TEXT_COLUMNS if name in columns), None)
    if image is None or text is None:
        return None
    images = picture_folder(file, [str(row[image]) for row in rows])
    pairs = ImageTextPairsConfig(str(file), str(images), image=image, text=text)
    return Part(pairs, file, split_along(file), pairs.kind)


def is_table(file: Path) -> bool:
    """Whether a file's suffix is that of a table or of JSON Lines."""
    return file.suffix.lower() in TABLE_SUFFIXES or file.suffix.lower() in LINES_SUFFIXES


def lists_videos(file: Path) -> bool:
    """Whether a file is Kinetics' CSV, or its first line names a video."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = lines.readline(LONGEST_LINE)
    columns = [name.strip() for name in next(csv.reader([first]), [])]
    return set(KINETICS_COLUMNS[:2]) <= set(columns) or any(suffix in first.lower() for suffix in VIDEO_SUFFIXES)


def text_part(file: Path) -> Part:
    """A text file as texts."""
    config = PlainTextConfig(str(file))
    return Part(config, file, split_along(file), config.kind)


def text_parts(folder: Path) -> list[Part]:
    """The ``.txt`` files of a folder as texts, but for those whose names say that they are something else."""
    return [text_part(file) for file in sorted(folder.glob("*.txt")) if file.stem.lower() not in NO_TEXTS]


def _video_folder(file: Path) -> Path:
    for folder in (file.parent / "videos", file.parent / file.stem, file.parent, *sorted(file.parent.glob("*"))):
        if folder.is_dir() and any(path.suffix in VIDEO_SUFFIXES for path in folder.glob("**/*")):
            return folder
    raise RecognitionError(f"{file} lists videos, but near it is no folder with {', '.join(VIDEO_SUFFIXES)} files")


def _class_file(file: Path) -> str | None:
    path = file.parent / "classes.txt"
    return str(path) if path.is_file() else None
