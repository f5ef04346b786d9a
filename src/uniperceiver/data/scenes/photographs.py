"""Photographs without objects as backgrounds of scenes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from uniperceiver.data.images import PICTURE_SUFFIXES, ImageError, read_image
from uniperceiver.data.scenes.sources import CutoutError

SHORTER_SIDE = 512
"""Pixels to which photographs are shrunk to be kept in memory."""
SMALLEST_CROP = 0.4
"""Side of the smallest square that is cut out, in shorter sides of the photograph."""


@lru_cache(maxsize=4)
def open_photographs(sources: tuple[str, ...]) -> tuple[Image.Image, ...]:
    """The photographs in files, and in folders but not below them; RGB, shrunk to `SHORTER_SIDE`.

    Raises:
        CutoutError: a source that does not exist, a folder without pictures, or a file that is none.
    """
    return tuple(_shrunk(path) for source in sources for path in _files(Path(source)))


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    if not source.is_dir():
        raise CutoutError(f"no background {str(source)!r}: give photographs without objects, or folders of such")
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise CutoutError(f"no picture in {source} to be a background ({', '.join(sorted(PICTURE_SUFFIXES))})")
    yield from found


def _shrunk(path: Path) -> Image.Image:
    try:
        picture = Image.fromarray(read_image(path).permute(1, 2, 0).numpy())
    except ImageError as error:
        raise CutoutError(f"a background cannot be used: {error}") from None
    scale = min(1.0, SHORTER_SIDE / min(picture.size))
    size = (round(scale * picture.width), round(scale * picture.height))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def cut_background(photographs: Sequence[Image.Image], size: int, draw: random.Random) -> np.ndarray:
    """(size, size, 3) uint8: a square of one of the photographs, from anywhere, as it is or mirrored."""
    picture = draw.choice(photographs)
    side = draw.uniform(SMALLEST_CROP, 1.0) * min(picture.size)
    left, top = draw.uniform(0, picture.width - side), draw.uniform(0, picture.height - side)
    box = (left, top, left + side, top + side)
    cut = np.array(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return np.ascontiguousarray(cut[:, ::-1]) if draw.random() < 0.5 else cut
