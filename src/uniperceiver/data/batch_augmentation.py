"""Augmentation of whole batches in training: random erasing, mixup and cutmix (App. E of the v1 paper: as DeiT's).

Pictures are normalised (B, 3, H, W), or the frames of clips (B, T, 3, H, W), of which all are treated alike. Randomness
is torch's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import CutMix, MixUp, RandomErasing


def erase(pixels: Tensor, probability: float) -> Tensor:
    """Pictures of which each, with this probability, has lost a rectangle to noise N(0, 1) (arXiv:1708.04896)."""
    erasing = RandomErasing(probability, value="random")
    return torch.stack([erasing(picture) for picture in _channels(pixels)]).view_as(pixels)


def mix(pixels: Tensor, labels: Tensor, classes: int, mixup: float, cutmix: float) -> tuple[Tensor, Tensor]:
    """Each picture mixed with the one before it in the batch, and the shares (B, ``classes``) of their labels (B,).

    ``mixup`` is the parameter α of Beta(α, α), from which the share of every pixel comes (arXiv:1710.09412),
    ``cutmix`` that from which the area of a rectangle comes (arXiv:1905.04899); 0 leaves one of them out. Of both, one
    is drawn for the batch.

    Raises:
        ValueError: neither.
    """
    kinds = [kind(alpha=alpha, num_classes=classes) for kind, alpha in ((MixUp, mixup), (CutMix, cutmix)) if alpha]
    if not kinds:
        raise ValueError("mixing needs mixup or cutmix above 0")
    chosen = kinds[int(torch.randint(len(kinds), ()))]
    mixed, shares = chosen(_channels(pixels), labels)
    return mixed.view_as(pixels), shares


def _channels(pixels: Tensor) -> Tensor:
    """Frames of a clip as channels of one picture."""
    return pixels.flatten(1, -3)
