"""Outlines of objects, polygons or run lengths, and drawing them as masks, as COCO's own code draws them."""

from __future__ import annotations

from collections.abc import Sequence
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


def run_lengths(outline: Outline, height: int, width: int) -> RunLengths:
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
    return decoded([run_lengths(outline, height, width) for outline in outlines], height, width)


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
