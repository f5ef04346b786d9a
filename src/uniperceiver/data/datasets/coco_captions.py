"""COCO captions JSON: a list of pictures and a list of captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uniperceiver.config import CocoCaptionsConfig
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    existing_picture,
    filled_text,
    read_json_object,
    require_fields,
    require_id,
)
from uniperceiver.data.datasets.captioned_pictures import CaptionedPictures, CaptionedRow


def open_coco_captions(config: CocoCaptionsConfig) -> CaptionedPictures:
    """Pictures with captions, in the order of the file; pictures without captions, as in a test set, are an error.

    Raises:
        DatasetError: an unreadable file, a missing picture, a caption that is empty or of no picture, a picture without
            captions.
    """
    source, folder = Path(config.annotations), Path(config.images)
    return CaptionedPictures(source, folder, _rows(source, folder), config.fold)


def _rows(source: Path, folder: Path) -> Iterator[CaptionedRow]:
    content = read_json_object(source, "images", "annotations")
    captions: dict[int, list[str]] = {}
    for position, entry in enumerate(content["images"]):
        where = f"{source}: images[{position}]"
        require_fields(entry, where, "id", "file_name")
        require_id(entry, "id", where)
        filled_text(entry, "file_name", where)
        if entry["id"] in captions:
            raise DatasetError(f"{source}: two images have the id {entry['id']}")
        captions[entry["id"]] = []
    for position, entry in enumerate(content["annotations"]):
        where = f"{source}: annotations[{position}]"
        require_fields(entry, where, "image_id", "caption")
        require_id(entry, "image_id", where)
        if entry["image_id"] not in captions:
            raise DatasetError(f"{where} belongs to image {entry['image_id']}, which the file's images lack")
        captions[entry["image_id"]].append(filled_text(entry, "caption", where))
    for entry in content["images"]:
        if not captions[entry["id"]]:
            raise DatasetError(f"{source}: image {entry['id']} has no caption")
        existing_picture(folder / entry["file_name"], f"{source}: image {entry['id']}")
        yield str(entry["id"]), entry["file_name"], captions[entry["id"]]
