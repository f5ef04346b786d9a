"""Lists of pictures with a class number recognised by their lines, as ImageNet's ``meta/train.txt``."""

from __future__ import annotations

from pathlib import Path

from uniperceiver.config import ImageListConfig
from uniperceiver.data.datasets.image_list import first_listed
from uniperceiver.data.recognition.found import Part, RecognitionError, split_along
from uniperceiver.data.recognition.picture_folders import SAMPLE, picture_folder

CLASS_FILE = "classes.txt"
"""What the file of class names is called, beside a list or one folder above it."""
LOOKED_FOR = f"lines of a picture's path and its class number, in .txt files here or in meta/, with {CLASS_FILE}"


def image_list_parts(folder: Path) -> list[Part]:
    """The lists in a folder or in its ``meta``.

    One to test on counts only where none is to validate on: ImageNet's has no true classes, and often no pictures.

    Raises:
        RecognitionError: pictures or class names of a list are not found.
    """
    lists = [file for place in (folder, folder / "meta") for file in sorted(place.glob("*.txt")) if is_image_list(file)]
    splits = {split_along(file) for file in lists}
    return [image_list_part(file) for file in lists if split_along(file) != "test" or "val" not in splits]


def is_image_list(file: Path) -> bool:
    """Whether a text file begins with lines of a picture's path and a class number, and nothing else."""
    return file.is_file() and bool(first_listed(file, SAMPLE))


def image_list_part(file: Path) -> Part:
    """A list as a part of a data set.

    Raises:
        RecognitionError: its pictures are not found near it, or no names of its classes.
    """
    images = picture_folder(file, first_listed(file, SAMPLE))
    names = next((place / CLASS_FILE for place in file.parents[:2] if (place / CLASS_FILE).is_file()), None)
    if names is None:
        raise RecognitionError(
            f"{file} lists pictures with class numbers: expected the classes' names, one a line in the order of the "
            f"numbers, in {CLASS_FILE} beside it or one folder above"
        )
    config = ImageListConfig(str(file), str(images), str(names))
    return Part(config, file, split_along(file), config.kind)
