"""CSV, TSV, JSON Lines and text files recognised by their columns and lines."""

from __future__ import annotations

import re
from pathlib import Path

from uniperceiver.config import (
    FrameSamplingConfig,
    ImageTextPairsConfig,
    LabelledTextsConfig,
    PlainTextConfig,
    TextPairsConfig,
    VideoCaptionsConfig,
    VideoCsvConfig,
)
from uniperceiver.data.datasets.image_text_pairs import LINES_SUFFIXES, LONGEST_LINE, TABLE_SUFFIXES, read_rows
from uniperceiver.data.datasets.video_captions import MSVD_COLUMNS
from uniperceiver.data.datasets.video_csv import KINETICS_COLUMNS, is_of_kinetics
from uniperceiver.data.images import VIDEO_SUFFIXES
from uniperceiver.data.recognition.found import Part, RecognitionError, split_along
from uniperceiver.data.recognition.glue import glue_part
from uniperceiver.data.recognition.picture_folders import picture_folder
from uniperceiver.data.recognition.videos import OF_CAPTIONS, OF_KINETICS, folder_of_videos, video_captions_part

IMAGE_COLUMNS = ("image", "image_path", "file_name", "filename", "file", "filepath", "path", "img", "img_path")
VIDEO_COLUMNS = ("video", "video_path", "video_file", "video_id", "clip")
TEXT_COLUMNS = ("caption", "captions", "text", "sentence", "sentences", "title", "description", "comment")
LABEL_COLUMNS = ("label", "class", "category", "topic", "sentiment")
PAIR_COLUMNS = (("question", "answer"), ("query", "passage"), ("anchor", "positive"), ("source", "target"))
LOOKED_FOR = (
    f"a column with pictures ({', '.join(IMAGE_COLUMNS)}) and one with texts ({', '.join(TEXT_COLUMNS)}), the same "
    f"of videos ({', '.join(VIDEO_COLUMNS)}), MSVD's columns ({', '.join(MSVD_COLUMNS)}), Kinetics' columns "
    f"({', '.join(KINETICS_COLUMNS)}), lines of a video's path and its class, a text and its class "
    f"({', '.join(LABEL_COLUMNS)}), or pairs of texts ({', '.join('/'.join(pair) for pair in PAIR_COLUMNS)})"
)
SAMPLE = 5
NO_TEXTS = frozenset({"readme", "license", "licence", "classes", "names", "labels", "requirements", "attribution"})
"""Names, without suffix, of text files in a folder that are not taken for texts to train on."""


def table_part(file: Path) -> Part | None:
    """The data set in a CSV, TSV or JSON Lines file; None where it is of no known kind.

    Raises:
        RecognitionError: it is, but its pictures or videos are not found.
    """
    if (glue := glue_part(file)) is not None:
        return glue
    if lists_videos(file):
        sampling = OF_KINETICS if is_of_kinetics(_first_line(file)) else FrameSamplingConfig()
        listed = VideoCsvConfig(str(file), str(folder_of_videos(file)), classes=_class_file(file), sampling=sampling)
        return Part(listed, file, split_along(file), listed.kind)
    rows = [row for _, row in zip(range(SAMPLE), (row for _, row in read_rows(file)), strict=False)]
    columns = list(rows[0]) if rows else []
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    text = next((name for name in TEXT_COLUMNS if name in columns), None)
    video = next((name for name in VIDEO_COLUMNS if name in columns), None)
    if image is not None and str(rows[0][image]).lower().endswith(VIDEO_SUFFIXES):
        image, video = None, image
    if set(MSVD_COLUMNS) <= set(columns) or (video is not None and text is not None):
        sampling = OF_CAPTIONS if set(MSVD_COLUMNS) <= set(columns) else FrameSamplingConfig()
        captions = VideoCaptionsConfig(str(file), "", video=video or "video", text=text or "caption", sampling=sampling)
        return video_captions_part(captions, split_along(file))
    if image is None:
        return texts_part(file, columns, text)
    if text is None:
        return None
    images = picture_folder(file, [str(row[image]) for row in rows])
    pairs = ImageTextPairsConfig(str(file), str(images), image=image, text=text)
    return Part(pairs, file, split_along(file), pairs.kind)


def texts_part(file: Path, columns: list[str], text: str | None) -> Part | None:
    """A table without pictures as texts with a class, or as texts that belong together."""
    pair = next((pair for pair in PAIR_COLUMNS if set(pair) <= set(columns)), None)
    label = next((name for name in LABEL_COLUMNS if name in columns), None)
    if label is not None and text is not None:
        labelled = LabelledTextsConfig(str(file), text=text, label=label, classes=_class_file(file))
        return Part(labelled, file, split_along(file), labelled.kind)
    if pair is not None:
        pairs = TextPairsConfig(str(file), text=pair[0], partner=pair[1])
        return Part(pairs, file, split_along(file), pairs.kind)
    return None


def is_table(file: Path) -> bool:
    """Whether a file's suffix is that of a table or of JSON Lines."""
    return file.suffix.lower() in TABLE_SUFFIXES or file.suffix.lower() in LINES_SUFFIXES


def lists_videos(file: Path) -> bool:
    """Whether a file is Kinetics' CSV, or its first line is a video and its class."""
    if file.suffix.lower() in LINES_SUFFIXES:
        return False
    first = _first_line(file)
    words = re.split(r"[\s,;]+", first.lower())
    return is_of_kinetics(first) or any(word.strip('"').endswith(VIDEO_SUFFIXES) for word in words)


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        return lines.readline(LONGEST_LINE)


def text_part(file: Path) -> Part:
    """A text file as texts.

    Raises:
        RecognitionError: it is a table of pictures and texts, as Flickr8k's ``captions.txt``.
    """
    columns = [name.strip().lower() for name in re.split(r"[,\t]", _first_line(file))]
    if set(columns) & set(IMAGE_COLUMNS) and set(columns) & set(TEXT_COLUMNS):
        raise RecognitionError(
            f"{file} begins as a table with the columns {', '.join(columns)}: call it .csv, or .tsv where tabs part "
            "them, so that its pictures are found"
        )
    config = PlainTextConfig(str(file))
    return Part(config, file, split_along(file), config.kind)


def text_parts(folder: Path) -> list[Part]:
    """The ``.txt`` files of a folder as texts, but for those whose names say that they are something else."""
    files = sorted(file for file in folder.glob("*.txt") if file.is_file() and file.stem.lower() not in NO_TEXTS)
    return [text_part(file) for file in files]


def _class_file(file: Path) -> str | None:
    path = file.parent / "classes.txt"
    return str(path) if path.is_file() else None
