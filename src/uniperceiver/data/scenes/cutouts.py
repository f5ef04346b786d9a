"""Cut-outs: pictures of one object with transparency and a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from uniperceiver.data.scenes import openmoji, tuxpaint
from uniperceiver.data.scenes.openmoji import openmoji_cutouts
from uniperceiver.data.scenes.png_folder import folder_cutouts
from uniperceiver.data.scenes.shapes import drawn_shapes
from uniperceiver.data.scenes.sources import CutoutError, NamedPicture
from uniperceiver.data.scenes.tuxpaint import tuxpaint_cutouts

MIN_SIDE = 16
"""Longest side in pixels of the smallest cut-out that is taken."""
MAX_BYTES = 512 * 2**20
"""Memory that the cut-outs of one data set may take."""
STAMPS = Path("/usr/share/tuxpaint/stamps")
"""Where Debian's package tuxpaint-stamps-default puts them."""
OPAQUE = 128
"""Alpha from which a pixel belongs to the object."""


class Outline(NamedTuple):
    """What placing needs to know of a cut-out."""

    hull: np.ndarray
    """(k, 2) float64, x and y of the corners of the convex hull of the opaque pixels, relative to the centre."""
    area: float
    """Opaque pixels."""
    side: int
    """The longer side in pixels."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """One object, cropped to what is visible of it."""

    name: str
    instance: str
    """What tells it from other cut-outs of its name: a file, a variant."""
    colour: str | None
    """Its colour where that is known by construction (drawn shapes)."""
    levels: tuple[Image.Image, ...]
    """Pre-multiplied RGBA ("RGBa"), each level half as large as the one before."""
    outline: Outline
    """In pixels of the first level."""


def make_cutout(source: NamedPicture, resolution: int) -> Cutout:
    """Crop a picture to its opaque part and shrink that to at most ``resolution`` pixels a side.

    Raises:
        CutoutError: no transparency at all, nothing visible, or too small to be recognised.
    """
    picture = source.picture
    if not picture.has_transparency_data:
        raise CutoutError(f"{source.instance} has no transparency (mode {picture.mode}): cut its object out first")
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    box = alpha.point([255 if value >= OPAQUE else 0 for value in range(256)]).getbbox()
    if box is None:
        raise CutoutError(f"{source.instance} is fully transparent: there is no object in it")
    if alpha.getextrema()[0] == 255:
        raise CutoutError(f"{source.instance} is opaque everywhere: cut its object out first")
    cropped = rgba.crop(box)
    if max(cropped.size) < MIN_SIDE:
        raise CutoutError(
            f"{source.instance} shows {cropped.width}x{cropped.height} pixels; at least {MIN_SIDE} wanted"
        )
    cropped.thumbnail((resolution, resolution), Image.Resampling.BOX)
    return Cutout(source.name, source.instance, source.colour, _levels(cropped), _outline(cropped))


@lru_cache(maxsize=4)
def open_cutouts(sources: str | tuple[str, ...], resolution: int) -> tuple[Cutout, ...]:
    """All cut-outs of one source or several: `ScenesConfig.cutouts`; by name, then instance.

    The data sets of one training share them: they are read once per process.

    Raises:
        CutoutError: no source of that name, nothing in it, a picture that is not a cut-out, or too much for the memory.
        ModuleNotFoundError: ``openmoji`` without its package.
    """
    cutouts: list[Cutout] = []
    size = 0
    for source in (sources,) if isinstance(sources, str) else sources:
        for picture in _pictures(source, resolution):
            cutouts.append(make_cutout(picture, resolution))
            size += sum(4 * level.width * level.height for level in cutouts[-1].levels)
            if size > MAX_BYTES:
                raise CutoutError(
                    f"the cut-outs of {sources} take over {MAX_BYTES >> 20} MiB at {resolution} pixels: use fewer"
                )
    return tuple(sorted(cutouts, key=lambda cutout: (cutout.name, cutout.instance)))


def attributions(sources: str | tuple[str, ...]) -> list[str]:
    """What the licences of some sources ask to be said; nothing of drawn shapes and of a user's own pictures."""
    kinds = {source.partition(":")[0] for source in ((sources,) if isinstance(sources, str) else sources)}
    said = {"openmoji": openmoji.ATTRIBUTION, "tuxpaint": tuxpaint.ATTRIBUTION}
    return [text for kind, text in said.items() if kind in kinds]


def _pictures(source: str, resolution: int) -> Iterator[NamedPicture]:
    if source == "shapes":
        return drawn_shapes()
    if source == "openmoji":
        return openmoji_cutouts(resolution)
    if source == "tuxpaint" or source.startswith("tuxpaint:"):
        return tuxpaint_cutouts(Path(source.removeprefix("tuxpaint").removeprefix(":") or STAMPS))
    return folder_cutouts(Path(source))


def _levels(picture: Image.Image) -> tuple[Image.Image, ...]:
    levels = [picture.convert("RGBa")]
    while max(levels[-1].size) >= 2 * MIN_SIDE:
        levels.append(levels[-1].reduce(2))
    return tuple(levels)


def _outline(picture: Image.Image) -> Outline:
    from scipy.spatial import ConvexHull  # takes a quarter of a second, which predictions need not wait for

    opaque = np.asarray(picture.getchannel("A")) >= OPAQUE
    rows = np.flatnonzero(opaque.any(axis=1))
    if not len(rows):
        # Shrinking blurred a fine line away; its box remains.
        rows, opaque = np.arange(picture.height), np.ones_like(opaque)
    first, last = opaque[rows].argmax(axis=1), opaque.shape[1] - opaque[rows, ::-1].argmax(axis=1)
    corners = np.concatenate([np.stack([x, y], axis=1) for x in (first, last) for y in (rows, rows + 1)])
    hull = corners[ConvexHull(corners).vertices] - np.array([picture.width, picture.height]) / 2
    return Outline(hull.astype(np.float64), float(opaque.sum()), max(picture.size))
