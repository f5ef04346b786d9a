"""What the checks of the formats tell the checks of images and classes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SPLIT_OF_WORD = {
    "train": "train", "training": "train", "restval": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "minival": "val", "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Fingerprint:
    """An image inside a shard: its size in bytes and the hash of its content."""

    name: str
    size: int
    digest: bytes


@dataclass
class Part:
    """One split of the data in one file or folder, as far as it could be read."""

    format: str
    source: Path
    split: str
    records: int = 0
    images: dict[Path, tuple[int, int] | None] = field(default_factory=dict)
    """Existing image files → (height, width) as annotated, None where the format does not say."""
    packed: list[Fingerprint] = field(default_factory=list)
    """Images inside shards."""
    names: dict[int, str] = field(default_factory=dict)
    """Class number → name, of all classes that the file knows."""
    examples: Counter[int] = field(default_factory=Counter)
    """Class number → objects or images."""
    folder: Path | None = None
    """Where its images were found."""


def split_of(path: Path, root: Path) -> str:
    """train, val or test by the words in the file's and the folders' names below ``root``; else "all"."""
    inside = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    for part in reversed(inside):
        for word in re.findall(r"[a-z]+", part.lower()):
            if word in _SPLIT_OF_WORD:
                return _SPLIT_OF_WORD[word]
    return "all"


def split_named(name: str) -> str:
    """Karpathy's ``restval`` is trained on; other names are their own."""
    return _SPLIT_OF_WORD.get(name.lower(), name)


def image_folders(source: Path, root: Path, images: Path | None) -> Iterator[Path]:
    """Where the images of an annotation file may lie, likeliest first: ``images`` alone where it is given."""
    if images is not None:
        yield images
        return
    near = [source.parent, *([source.parent.parent] if source.parent != root else []), root]
    for folder in dict.fromkeys(near):
        yield folder
        yield from sorted(path for path in folder.iterdir() if path.is_dir())
        inside = folder / "images"
        if inside.is_dir():
            yield from sorted(path for path in inside.iterdir() if path.is_dir())


def folder_with(names: list[str], source: Path, root: Path, images: Path | None) -> Path:
    """The folder that has most of the first few ``names``; of equal ones the likeliest."""
    sample = names[:: max(1, len(names) // 50)]
    folders = list(image_folders(source, root, images))
    found = [sum(os.path.isfile(folder / name) for name in sample) for folder in folders]
    return folders[found.index(max(found))]
