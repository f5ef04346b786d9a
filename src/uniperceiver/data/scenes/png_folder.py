"""Any folder of transparent pictures as cut-outs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from uniperceiver.data.images import MAX_PIXELS
from uniperceiver.data.scenes.sources import CutoutError, NamedPicture

SUFFIXES = {".png", ".webp"}
_NUMBER = re.compile(r"[_ -]+\d+$")


def folder_cutouts(root: Path) -> Iterator[NamedPicture]:
    """The transparent PNG and WebP pictures of ``root``, named by their folder, or by their file when they lie in it.

    ``green_apple_1.png`` and ``green_apple_2.png`` are two instances of "green apple"; so are all pictures at any depth
    in a folder ``green apple``.

    Raises:
        CutoutError: no such folder, no picture in it, two spellings of one name, a picture that cannot be read.
    """
    if not root.is_dir():
        raise CutoutError(f"no cut-outs {str(root)!r}: give shapes, openmoji, tuxpaint or a folder of PNGs")
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise CutoutError(f"no transparent picture in {root} ({', '.join(sorted(SUFFIXES))})")
    spellings: dict[str, str] = {}
    for path in files:
        spelling = _spelling(path, root)
        name = " ".join(re.split(r"[\s_]+", spelling.lower())).strip()
        if not name:
            raise CutoutError(f"{path} has no name besides its number: rename it, e.g. to apple_1{path.suffix}")
        if spellings.setdefault(name, spelling) != spelling:
            raise CutoutError(f"{root} spells {name!r} as {spellings[name]!r} and as {spelling!r}: use one spelling")
        yield NamedPicture(name, str(path.relative_to(root)), read_picture(path))


def _spelling(path: Path, root: Path) -> str:
    inside = path.relative_to(root)
    return f"{inside.parts[0]}" if len(inside.parts) > 1 else _NUMBER.sub("", inside.stem)


def read_picture(path: Path) -> Image.Image:
    """A picture in memory; CutoutError when it cannot be read or is too large."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise CutoutError(f"{path} has {picture.width}x{picture.height} pixels, over the {MAX_PIXELS} allowed")
            picture.load()
            return picture
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise CutoutError(f"{path} is not a picture that can be read: {error}") from None
