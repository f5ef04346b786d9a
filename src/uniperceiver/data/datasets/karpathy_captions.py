"""Karpathy's ``dataset_*.json``: pictures with several captions each, split into train, restval, val and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from uniperceiver.config import KarpathyCaptionsConfig
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    existing_picture,
    filled_text,
    read_json_object,
    require_fields,
)
from uniperceiver.data.datasets.captioned_pictures import CaptionedPictures, CaptionedRow


class KarpathyCaptions(CaptionedPictures):
    """Pictures with captions. The caption is the sentence as written (``raw``), without surrounding spaces."""

    def __init__(self, config: KarpathyCaptionsConfig) -> None:
        """Index the chosen splits.

        Raises:
            DatasetError: an unreadable file, an unknown or empty split, a picture without file or caption.
        """
        source, folder = Path(config.annotations), Path(config.images)
        super().__init__(source, folder, _rows(source, folder, config.splits), config.fold)


def _rows(source: Path, folder: Path, splits: Sequence[str]) -> Iterator[CaptionedRow]:
    for entry in read_karpathy(source, splits):
        file = str(Path(entry.get("filepath", "")) / entry["filename"])
        existing_picture(folder / file, str(source))
        yield str(entry.get("cocoid", entry["imgid"])), file, captions_of(entry, source)


def read_karpathy(path: Path, splits: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of a Karpathy JSON that belong to ``splits``, in file order.

    Raises:
        DatasetError: not such a file, an entry without one of the fields, or a split without entries.
    """
    entries = read_json_object(path, "images")["images"]
    for number, entry in enumerate(entries):
        where = f"{path}: images[{number}]"
        require_fields(entry, where, "imgid", "filename", "split", "sentences")
        filled_text(entry, "filename", where)
        filled_text(entry, "split", where)
        if not isinstance(entry.get("filepath", ""), str) or not isinstance(entry["sentences"], list):
            raise DatasetError(f"{where} should have a list of sentences, and as filepath, where it has one, a text")
    present = sorted({entry["split"] for entry in entries})
    for split in splits:
        if split not in present:
            raise DatasetError(f"{path} has no split {split!r}: it has {', '.join(present)}")
    return [entry for entry in entries if entry["split"] in splits]


def captions_of(entry: dict[str, Any], path: Path) -> list[str]:
    """The captions of one entry of a Karpathy JSON, at least one.

    Raises:
        DatasetError: no caption, or an empty one.
    """
    given = [sentence.get("raw") for sentence in entry["sentences"] if isinstance(sentence, dict)]
    captions = [raw.strip() for raw in given if isinstance(raw, str)]
    if not captions or len(captions) < len(entry["sentences"]) or not all(captions):
        raise DatasetError(f"{path}: {entry['filename']} (imgid {entry['imgid']}) has no caption or an empty one")
    return captions
