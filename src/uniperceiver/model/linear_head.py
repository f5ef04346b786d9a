"""The linear head that v1's prompt tuning puts beside the similarities of classification (its App. C)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.config import LinearHeadConfig


class LinearHead(nn.Module):
    """Eq. (4) of the v1 paper: α · cos(x, y) / τ + w_yᵀ x + b_y for the classes y of one list.

    α starts at one, w and b at zero, so nothing changes at first. x is g's read-out, not brought to unit length.
    Paper: Eq. (4) mixes exp(cos / τ), a likelihood, with a linear map, which may be negative. As in the official code
    (spec/uni_perceiver_v1_moe.md, 2.8), logits are mixed here.
    """

    def __init__(self, config: LinearHeadConfig, width: int) -> None:
        """``width`` is D."""
        super().__init__()
        self.classes = config.classes
        self.weight = nn.Parameter(torch.zeros(len(config.classes), width))
        self.bias = nn.Parameter(torch.zeros(len(config.classes)))
        self.similarity_weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, similarities: Tensor, index: Tensor | None = None) -> Tensor:
        """Read-outs (…, D) and similarities (…, Y) -> logits (…, Y) float32.

        With ``index`` (n,) int64 the similarities are those of n of the classes, and so are the logits.
        """
        weight, bias = (self.weight, self.bias) if index is None else (self.weight[index], self.bias[index])
        with torch.autocast(x.device.type, enabled=False):
            return self.similarity_weight * similarities + F.linear(x.float(), weight.float(), bias.float())
