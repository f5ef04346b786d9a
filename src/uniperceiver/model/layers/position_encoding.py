"""Sine codes of map positions and of boxes (spec/mask_dino.md, section 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10000
_EPSILON = 1e-6


def sine_code(angles: Tensor, width: int) -> Tensor:
    """Angles (...) as (..., width): sine and cosine in turn, at wavelengths that grow from 2π to 10000 · 2π."""
    exponent = torch.arange(0, width, 2, device=angles.device, dtype=angles.dtype) / width
    phases = angles[..., None] / _TEMPERATURE**exponent
    return torch.stack([phases.sin(), phases.cos()], dim=-1).flatten(-2)


def map_position_code(is_padding: Tensor, width: int) -> Tensor:
    """The code (B, h, w, width) of every place of maps (B, h, w): half of it for y, half for x.

    Places are counted from 1 over what is not padding, and divided by the last count.
    """
    valid = (~is_padding).float()
    y, x = valid.cumsum(dim=1), valid.cumsum(dim=2)
    y = 2 * math.pi * y / (y[:, -1:] + _EPSILON)
    x = 2 * math.pi * x / (x[:, :, -1:] + _EPSILON)
    return torch.cat([sine_code(y, width // 2), sine_code(x, width // 2)], dim=-1)


def box_position_code(boxes: Tensor, width: int) -> Tensor:
    """The code of boxes (..., 4) (cx, cy, w, h) or points (..., 2) (x, y), ``width`` for each number.

    Its parts are in the order y, x, w, h: (..., 4 * width) or (..., 2 * width). Also the B of Eq. (9) before its linear
    layer (A13).
    """
    swapped = torch.cat([boxes[..., 1:2], boxes[..., :1], boxes[..., 2:]], dim=-1)
    return sine_code(2 * math.pi * swapped, width).flatten(-2)
