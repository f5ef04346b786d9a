"""Group normalisation of any map size."""

from __future__ import annotations

import torch
from torch import nn

from uniperceiver.model.layers.group_norm import GroupNorm


def test_it_is_pytorchs() -> None:
    ours, theirs = GroupNorm(64), nn.GroupNorm(32, 64)
    x = torch.randn(2, 64, 3, 4)
    torch.testing.assert_close(ours(x), theirs(x))


def test_one_value_per_group_gives_the_bias() -> None:
    norm = GroupNorm(32)
    nn.init.normal_(norm.bias)
    torch.testing.assert_close(norm(torch.randn(1, 32, 1, 1)).flatten(), norm.bias, rtol=1e-3, atol=1e-3)
