"""Frames of videos brought to size: all frames of a video are cut alike (spec/uni_perceiver_v1_moe.md, 7.5).

They are resized as v1's are: bilinear, and smaller without antialiasing, which pictures have.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

JITTER = (256 / 224, 320 / 224)
"""Training: the shorter side is between these many times the crop's side."""


def jittered_crop(frames: Tensor, side: int, flip: bool) -> Tensor:
    """Shorter side of a random length, a random square of (V, T, 3, ``side``, ``side``), perhaps mirrored."""
    low, high = (int(side * ratio) for ratio in JITTER)
    resized = _resized(frames, int(torch.randint(low, high + 1, ())))
    top, left = (int(torch.randint(0, length - side + 1, ())) for length in resized.shape[-2:])
    cropped = resized[..., top : top + side, left : left + side]
    return F.horizontal_flip(cropped) if flip and torch.rand(()) < 0.5 else cropped


def uniform_crops(frames: Tensor, side: int, crops: int) -> Tensor:
    """Shorter side resized to ``side``; squares evenly along the longer one, with a single one its centre.

    (V, T, 3, H, W) -> (V · crops, T, 3, side, side), the crops of a clip after each other. Half a pixel is rounded up
    between others, and to the even number alone: v1 cuts three squares itself and leaves the centre to torchvision.
    """
    resized = _resized(frames, side)
    if crops == 1:
        return F.center_crop(resized, [side, side])
    spare = [length - side for length in resized.shape[-2:]]
    corners = [[math.ceil(length * place / (crops - 1)) for length in spare] for place in range(crops)]
    return torch.stack([F.crop(resized, top, left, side, side) for top, left in corners], dim=1).flatten(0, 1)


def _resized(frames: Tensor, shorter: int) -> Tensor:
    """Frames (…, H, W) of this shorter side, their aspect ratio kept; a part of a pixel of the longer one is lost."""
    height, width = frames.shape[-2:]
    longer = int(max(height, width) / min(height, width) * shorter)
    size = [longer, shorter] if height > width else [shorter, longer]
    return F.resize(frames, size, interpolation=InterpolationMode.BILINEAR, antialias=False)
