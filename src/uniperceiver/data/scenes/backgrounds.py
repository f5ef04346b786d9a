"""Backgrounds of one named colour: plain, gradients, noise, textures, and clutter that is no object."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

from uniperceiver.data.scenes.colours import COLOURS

CONTRAST = 0.22
"""How much brighter or darker than the named colour a background becomes, at most."""
GRAIN = 12
"""Width of the range of the grain, in levels of 255."""
KINDS = ("plain", "gradient", "clouds", "stripes", "checks")


def paint_background(colour: str, size: int, draw: random.Random) -> np.ndarray:
    """(size, size, 3) uint8: brightness varies, the hue does not, so the colour's name stays right."""
    base = np.array(COLOURS[colour], dtype=np.float32) * [draw.uniform(0.94, 1.04) for _ in range(3)]
    shade = _shade(draw.choice(KINDS), size, draw)
    picture = Image.fromarray((shade * 255).astype(np.uint8))
    _clutter(picture, draw)
    grain = np.frombuffer(draw.randbytes(size * size), dtype=np.uint8).reshape(size, size) % GRAIN
    # 127 is the named colour itself; one table per channel replaces arithmetic on every pixel.
    levels = 1 + CONTRAST * (np.arange(256, dtype=np.float32) / 127.5 - 1)
    index = np.asarray(picture)
    painted = np.empty((size, size, 3), dtype=np.uint8)
    for channel in range(3):
        table = np.clip(base[channel] * levels, 0, 255 - GRAIN).astype(np.uint8)
        np.add(table[index], grain, out=painted[..., channel])
    return painted


def _shade(kind: str, size: int, draw: random.Random) -> np.ndarray:
    """(size, size) float32 in [0, 1]."""
    x = np.linspace(-1, 1, size, dtype=np.float32)
    angle = draw.uniform(0, 2 * np.pi)
    along = np.cos(angle, dtype=np.float32) * x[None, :] + np.sin(angle, dtype=np.float32) * x[:, None]
    if kind == "plain":
        return np.full((size, size), 0.5, dtype=np.float32)
    if kind == "gradient":
        return along * np.float32(0.35) + np.float32(0.5)
    if kind == "clouds":
        cells = draw.randint(3, 12)
        coarse = np.frombuffer(draw.randbytes(cells * cells), dtype=np.uint8).reshape(cells, cells)
        smooth = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        return np.asarray(smooth, dtype=np.float32) / 255
    period = draw.uniform(0.08, 0.4)
    stripes = np.floor(along / period) % 2
    if kind == "stripes":
        return 0.3 + 0.4 * stripes
    across = np.cos(angle, dtype=np.float32) * x[:, None] - np.sin(angle, dtype=np.float32) * x[None, :]
    return 0.3 + 0.4 * ((stripes + np.floor(across / period)) % 2)


def _clutter(picture: Image.Image, draw: random.Random) -> None:
    """Lines, arcs and specks: something to see that has no name."""
    canvas = ImageDraw.Draw(picture)
    side = picture.width
    for _ in range(draw.randint(0, 6)):
        x, y = draw.uniform(0, side), draw.uniform(0, side)
        reach = draw.uniform(0.03, 0.25) * side
        level, width = draw.choice((0, 255)), draw.randint(1, max(1, side // 70))
        match draw.randrange(3):
            case 0:
                canvas.line([x, y, x + draw.uniform(-reach, reach), y + draw.uniform(-reach, reach)], level, width)
            case 1:
                start = draw.uniform(0, 360)
                canvas.arc([x - reach, y - reach, x + reach, y + reach], start, start + 120, level, width)
            case _:
                specks = [draw.uniform(-reach, reach) for _ in range(24)]
                canvas.point([(x + dx, y + dy) for dx, dy in zip(specks[::2], specks[1::2], strict=True)], level)
