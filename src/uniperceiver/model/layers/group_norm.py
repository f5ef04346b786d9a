"""Group normalisation that accepts any map size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUPS = 32
"""Groups of every group norm, as everywhere in Mask DINO (A1)."""


class GroupNorm(nn.GroupNorm):
    """`GROUPS` groups of channels.

    PyTorch's own refuses a single value per group, which one small image gives in a narrow network: a 1×1 map of 32
    channels. Such a value normalises to zero, so the output is the bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, channels, h, w)."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
