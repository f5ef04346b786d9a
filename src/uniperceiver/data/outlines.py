"""Outlines of objects, polygons or run lengths, and drawing them as masks, as COCO's own code draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

Polygons = list[list[float]]
"""The parts of one object, each a flat list x, y, x, y, … in pixels."""
RunLengths = dict[str, Any]
"""COCO's ``{"size": [H, W], "counts": …}``."""
Outline = Polygons | RunLengths
FARTHEST = 10
"""Longer sides of a picture that a polygon reaches at most: what drawing one takes in memory grows with its extent."""


def mask_codec() -> ModuleType:
    """`pycocotools.mask`.

    Raises:
        ImportError: without the extra ``coco``.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError("annotated objects need pycocotools: pip install 'uniperceiver[coco]'") from error
    return mask


def is_far_outside(polygons: Polygons, height: int, width: int) -> bool:
    """Whether a polygon reaches so far out of a picture of the given size that it must not be drawn."""
    return max((abs(value) for part in polygons for value in part), default=0) > FARTHEST * max(height, width)


def encode_outline(outline: Outline, height: int, width: int) -> RunLengths:
    """COCO's compressed run lengths of one object in a picture of the given size."""
    if isinstance(outline, dict) and isinstance(outline["counts"], str):
        return {"size": [height, width], "counts": outline["counts"].encode()}
    if isinstance(outline, dict) and isinstance(outline["counts"], bytes):
        return outline
    codec = mask_codec()
    encoded = codec.frPyObjects(outline, height, width)
    return codec.merge(encoded) if isinstance(encoded, list) else encoded


def draw(outlines: Sequence[Outline], height: int, width: int) -> Tensor:
    """Masks (n, height, width) bool of at least one outline."""
    return decoded([encode_outline(outline, height, width) for outline in outlines], height, width)


def decoded(encoded: Sequence[RunLengths], height: int, width: int) -> Tensor:
    """Masks (n, height, width) bool of compressed run lengths."""
    masks = np.zeros((len(encoded), height, width), dtype=np.uint8)
    for mask, entry in zip(masks, encoded, strict=True):
        mask[:] = mask_codec().decode(entry)
    return torch.from_numpy(masks).view(torch.bool)


def box_outline(box: Sequence[float]) -> Polygons:
    """The outline of an object of which only the box (x0, y0, x1, y1) is known: the box itself."""
    x0, y0, x1, y1 = box
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def polygon_area(polygons: Polygons) -> float:
    """Area in pixels, by the shoelace formula, of parts that do not overlap."""
    total = 0.0
    for part in polygons:
        x, y = np.asarray(part[0::2]), np.asarray(part[1::2])
        total += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return total


@dataclass(frozen=True)
class Window:
    """A part of a picture that is resized, and perhaps mirrored."""

    top: int
    left: int
    height: int
    width: int
    """In pixels of the picture."""
    new_height: int
    new_width: int
    """What it is resized to."""
    flip: bool
    """Whether it is mirrored, left and right, afterwards."""

    def moved(self, polygons: Polygons) -> Polygons:
        """Polygons of the picture as they lie in the resized window."""
        return [self._moved(part) for part in polygons]

    def _moved(self, part: list[float]) -> list[float]:
        points = np.asarray(part, dtype=np.float64).reshape(-1, 2) - (self.left, self.top)
        points *= (self.new_width / self.width, self.new_height / self.height)
        if self.flip:
            points[:, 0] = self.new_width - points[:, 0]
        return points.ravel().tolist()


@dataclass(frozen=True)
class DrawnObject:
    """What is visible of one object: a small mask and where its corner lies."""

    mask: np.ndarray
    """(h, w) uint8."""
    top: int
    left: int
    area: int

    @property
    def box(self) -> list[int]:
        """(x0, y0, x1, y1) around what is visible, the far sides exclusive; zeros if nothing is."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if not len(rows):
            return [0, 0, 0, 0]
        x, y = self.left, self.top
        return [x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1]


def draw_in_window(polygons: Polygons, window: Window) -> DrawnObject:
    """One object in a resized window, drawn once, on no more pixels than its extent.

    The same pixels as drawing the moved polygons on the whole window, because COCO's drawing commutes with moves by
    whole pixels.
    """
    moved = window.moved(polygons)
    xs, ys = [x for part in moved for x in part[0::2]], [y for part in moved for y in part[1::2]]
    left, right = _extent(xs, window.new_width)
    top, bottom = _extent(ys, window.new_height)
    if right <= left or bottom <= top:
        return DrawnObject(np.zeros((0, 0), dtype=np.uint8), 0, 0, 0)
    shifted = [[v - (top if i % 2 else left) for i, v in enumerate(part)] for part in moved]
    encoded = encode_outline(shifted, bottom - top, right - left)
    return DrawnObject(mask_codec().decode(encoded), top, left, int(mask_codec().area(encoded)))


def _extent(values: list[float], length: int) -> tuple[int, int]:
    return max(math.floor(min(values)) - 1, 0), min(math.ceil(max(values)) + 1, length)
