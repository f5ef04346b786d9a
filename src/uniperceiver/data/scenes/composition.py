"""Painting a layout: the picture and the visible part of every object."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from uniperceiver.data.scenes.backgrounds import paint_background
from uniperceiver.data.scenes.colours import COLOURS
from uniperceiver.data.scenes.cutouts import OPAQUE, Cutout
from uniperceiver.data.scenes.layout import Layout, PlacedObject
from uniperceiver.data.scenes.motion import MovingLayout
from uniperceiver.data.scenes.photographs import cut_background

TINT_SHADE = 0.65
"""Brightness of what is black in a cut-out after tinting: details remain, the colour is recognisable."""


class Scene(NamedTuple):
    """A painted layout."""

    image: np.ndarray
    """(size, size, 3) uint8 RGB."""
    masks: np.ndarray
    """(n, size, size) bool, in the order of the layout's objects; what lies over an object is not part of it."""

    def boxes(self) -> np.ndarray:
        """(n, 4) float32, (x0, y0, x1, y1) around the masks, far side exclusive."""
        boxes = np.zeros((len(self.masks), 4), dtype=np.float32)
        for box, mask in zip(boxes, self.masks, strict=True):
            columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes


def paint(layout: Layout, cutouts: Sequence[Cutout], photographs: Sequence[Image.Image] = ()) -> Scene:
    """Paint a layout; ``cutouts`` are those it was laid out with. A pure function of its arguments.

    ``photographs`` may be empty where the layout's background has a colour.
    """
    return _paint_over(_ground(layout, photographs), layout, cutouts)


def paint_frames(
    clip: MovingLayout,
    numbers: Sequence[int],
    cutouts: Sequence[Cutout],
    photographs: Sequence[Image.Image] = (),
) -> np.ndarray:
    """Frames of a clip by number, (T, size, size, 3) uint8 RGB: each is the image that `paint` makes of its layout."""
    ground = _ground(clip.middle, photographs)
    return np.stack([_paint_over(ground.copy(), clip.frame(number), cutouts).image for number in numbers])


def _ground(layout: Layout, photographs: Sequence[Image.Image]) -> np.ndarray:
    """(size, size, 3) uint8: the background alone."""
    draw = random.Random(layout.paint_seed)
    if layout.background is None:
        return cut_background(photographs, layout.size, draw)
    return paint_background(layout.background, layout.size, draw)


def _paint_over(image: np.ndarray, layout: Layout, cutouts: Sequence[Cutout]) -> Scene:
    """Paint the objects of a layout onto ``image``."""
    masks = np.zeros((len(layout.objects), layout.size, layout.size), dtype=bool)
    for number, placed in enumerate(layout.objects):
        left, top, pixels = _turned_cutout(placed, cutouts[placed.cutout], layout.size)
        window = (slice(top, top + pixels.shape[0]), slice(left, left + pixels.shape[1]))
        colours, alpha = _toned(pixels, placed), pixels[..., 3]
        below = image[window] * (255 - alpha.astype(np.uint16))[..., None]
        image[window] = colours + (below + 127) // 255
        # Of a very fine cut-out no pixel may be mostly covered: then those covered most are its mask.
        covered = alpha >= min(OPAQUE, max(1, int(alpha.max())))
        masks[(slice(0, number), *window)] &= ~covered
        masks[(number, *window)] = covered
    return Scene(image, masks)


def _turned_cutout(placed: PlacedObject, cutout: Cutout, size: int) -> tuple[int, int, np.ndarray]:
    """Left, top and pre-multiplied pixels (h, w, 4) uint8 of a placed object's window."""
    x0, y0, x1, y1 = placed.box
    left, top = max(0, math.floor(x0) - 1), max(0, math.floor(y0) - 1)
    width, height = min(size, math.ceil(x1) + 1) - left, min(size, math.ceil(y1) + 1) - top
    # Bilinear sampling looks at two pixels a side: the level of at most twice the wanted size avoids aliasing.
    number = min(len(cutout.levels) - 1, max(0, math.floor(math.log2(1 / placed.scale))))
    level = cutout.levels[number]
    scale = placed.scale * cutout.levels[0].width / level.width
    cos, sin = math.cos(placed.angle) / scale, math.sin(placed.angle) / scale
    x, y = left - placed.centre[0], top - placed.centre[1]
    sign = -1.0 if placed.is_mirrored else 1.0
    to_cutout = (
        sign * cos, sign * sin, sign * (cos * x + sin * y) + level.width / 2,
        -sin, cos, -sin * x + cos * y + level.height / 2,
    )  # fmt: skip
    turned = level.transform((width, height), Image.Transform.AFFINE, to_cutout, Image.Resampling.BILINEAR)
    return left, top, np.asarray(turned)


def _toned(pixels: np.ndarray, placed: PlacedObject) -> np.ndarray:
    """Pre-multiplied colours (h, w, 3) uint16 after tint and tone, none above its alpha."""
    alpha = pixels[..., 3:].astype(np.float32)
    if placed.is_tinted:
        assert placed.colour is not None
        brightness = pixels[..., :3] @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
        shade = TINT_SHADE * alpha + (1 - TINT_SHADE) * brightness[..., None]
        colours = shade * (np.array(COLOURS[placed.colour], dtype=np.float32) / 255)
    else:
        colours = pixels[..., :3].astype(np.float32)
    return np.minimum(colours * np.array(placed.gain, dtype=np.float32), alpha).astype(np.uint16)
