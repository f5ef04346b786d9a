"""Visual Genome: the phrases about a picture's regions, as its captions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from uniperceiver.config import VisualGenomeConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, read_json, require_fields
from uniperceiver.data.datasets.captioned_pictures import CaptionedPictures, CaptionedRow


def open_visual_genome(config: VisualGenomeConfig) -> CaptionedPictures:
    """Pictures with the phrases about their regions.

    Paper: only the data set is named. As in v1 a phrase is a caption of the whole picture, with a full stop if it ends
    in a letter or digit (spec/uni_perceiver_v1_moe.md, section 4). Pictures without phrases (there are some) are left
    out, and so are empty phrases.

    Raises:
        DatasetError: an unreadable file, or a picture that is in none of the folders.
    """
    source = Path(config.regions)
    folders = [Path(folder) for folder in config.images]
    return CaptionedPictures(source, Path(), _rows(source, folders), config.fold)


def _rows(source: Path, folders: Sequence[Path]) -> Iterator[CaptionedRow]:
    for position, entry in enumerate(_read(source)):
        _check_regions(entry, f"{source}: entry {position}")
        phrases = [phrase_as_caption(region["phrase"]) for region in entry["regions"] if region["phrase"].strip()]
        if not phrases:
            continue
        number = entry.get("id", entry["regions"][0].get("image_id"))
        yield str(number), str(_picture(number, folders, source)), phrases


def _check_regions(entry: Any, where: str) -> None:
    require_fields(entry, where, "regions")
    if not isinstance(entry["regions"], list):
        raise DatasetError(f"{where} should have a list of regions, got {str(entry['regions'])[:60]!r}")
    for number, region in enumerate(entry["regions"]):
        require_fields(region, f"{where}, regions[{number}]", "phrase")
        if not isinstance(region["phrase"], str):
            raise DatasetError(f"{where}, regions[{number}] has the phrase {str(region['phrase'])[:60]!r}, no text")


def phrase_as_caption(phrase: str) -> str:
    """The phrase with a full stop if it ends in a letter or digit."""
    stripped = phrase.strip()
    return f"{stripped}." if stripped[-1:].isalnum() else stripped


def _read(source: Path) -> list[Any]:
    content = read_json(source)
    if not isinstance(content, list):
        raise DatasetError(f"{source} should be a JSON list of pictures with `regions`: is it of another format?")
    return content


def _picture(number: Any, folders: Sequence[Path], source: Path) -> Path:
    for folder in folders:
        path = folder / f"{number}.jpg"
        if os.path.isfile(path):
            return path
    looked = " and ".join(str(folder) for folder in folders)
    raise DatasetError(f"{source} needs the picture {number}.jpg, which is not in {looked}")
