"""Folders named for classes, with or without folders of splits above them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uniperceiver.data.doctor.parts import Part, split_of


def check_image_folder(root: Path, images: Sequence[Path]) -> list[Part]:
    """Look at the folders of classes below ``root``; an empty one is a class without examples."""
    tops = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    are_splits = bool(tops) and all(split_of(path, root) != "all" for path in tops)
    parts = []
    for top in tops if are_splits else [root]:
        part = Part("image folder", top, split_of(top, root))
        folders = sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))
        part.names = {number: folder.name for number, folder in enumerate(folders)}
        number_of = {folder.name: number for number, folder in enumerate(folders)}
        for image in images:
            inside = image.relative_to(top).parts if image.is_relative_to(top) else ()
            if len(inside) > 1:
                part.images[image] = None
                part.examples[number_of[inside[0]]] += 1
        part.records = len(part.images)
        parts.append(part)
    return parts
