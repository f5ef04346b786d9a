"""Masks as COCO's run lengths, written without pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run-length code of a mask (H, W): lengths of runs down the columns, the first of zeros."""
    values = np.asarray(mask, dtype=bool)
    if not values.size:
        return [0]
    # Changes are looked for in the order of the rows: to turn a large mask over takes three times as long.
    row, column = np.nonzero(values[1:] != values[:-1])
    between_columns = np.flatnonzero(values[0, 1:] != values[-1, :-1]) + 1
    height = values.shape[0]
    changes = np.sort(np.concatenate([column * height + row + 1, between_columns * height]))
    lengths = np.diff(changes, prepend=0, append=values.size).tolist()
    return [0, *lengths] if values[0, 0] else lengths


def compressed(lengths: Sequence[int]) -> str:
    """COCO's compressed form of `run_lengths`.

    From the third on, a length is written as its difference to the one two before; a number is written five bits at a
    time, lowest first, as a character from "0" on, whose sixth bit says that more follow.
    """
    characters: list[str] = []
    for place, length in enumerate(lengths):
        rest = length - lengths[place - 2] if place > 2 else length
        has_more = True
        while has_more:
            bits = rest & 0x1F
            rest >>= 5
            has_more = rest != (-1 if bits & 0x10 else 0)
            characters.append(chr(48 + (bits | (0x20 if has_more else 0))))
    return "".join(characters)


def encoded(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) as COCO's files have it, compressed: ``{"size": [H, W], "counts": str}``."""
    return {"size": list(mask.shape), "counts": compressed(run_lengths(mask))}
