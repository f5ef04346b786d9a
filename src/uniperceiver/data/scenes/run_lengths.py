"""Masks as COCO writes them."""

from __future__ import annotations

from typing import Any

import numpy as np


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run lengths of a mask (H, W) bool: ``size`` [H, W] and ``counts``, bytes.

    Raises:
        ImportError: without the extra ``coco``.
    """
    try:
        from pycocotools import mask as codec
    except ImportError as error:
        raise ImportError("COCO annotations need pycocotools: pip install 'uniperceiver[coco]'") from error
    return codec.encode(np.asfortranarray(mask, dtype=np.uint8))
