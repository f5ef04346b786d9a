"""Attention pooling with learned queries: many pools in one product."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class AttentionPools(nn.Module):
    """M' multi-head attention pools over the same tokens, the AttnPool_i of Eq. (3), all in one product.

    Each pool has a learned query, key and value projections c -> c, and an output projection c -> D. A query does not
    depend on the picture, so the keys are never formed: query and key projection act on the tokens as one vector per
    head, and values are projected after they were averaged. Both are exact and need c/heads times less work.

    Paper: gives "parameterized Attention Pooling [27]", i.e. CLIP's. CLIP's query is a projection of the mean token;
    ten of those would ask the same question ten times, and the published parameter counts leave no room for
    its projections (docs/decisions.md, "Attention pools"). A key bias would cancel in the softmax and is left out.
    """

    def __init__(self, channels: int, width: int, pools: int) -> None:
        super().__init__()
        head_width = math.gcd(channels, 64)  # CLIP's heads are 64 wide
        heads = channels // head_width
        self.query = nn.Parameter(torch.empty(pools, heads, head_width))
        self.key = nn.Parameter(torch.empty(pools, heads, head_width, channels))
        self.value = nn.Parameter(torch.empty(pools, heads, head_width, channels))
        self.value_bias = nn.Parameter(torch.zeros(pools, heads, head_width))
        self.output = nn.Parameter(torch.empty(pools, width, channels))
        self.output_bias = nn.Parameter(torch.zeros(pools, width))
        nn.init.normal_(self.query)
        for weight in (self.key, self.value, self.output):
            nn.init.normal_(weight, std=channels**-0.5)

    def forward(self, tokens: Tensor, positions: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Tokens (B, L, c) -> pooled (B, M', D).

        ``positions`` (B or 1, L, c) is added where keys are made, so that a pool can look at places; ``is_padding`` is
        (B, L). At least one token of every row must not be padding.
        """
        question = torch.einsum("phd,phdc->phc", self.query, self.key) * self.query.shape[-1] ** -0.5
        scores = torch.einsum("blc,phc->bphl", tokens + positions, question)
        if is_padding is not None:
            scores = scores.masked_fill(is_padding[:, None, None, :], float("-inf"))
        attended = torch.einsum("bphl,blc->bphc", scores.softmax(dim=-1), tokens)
        values = torch.einsum("bphc,phdc->bphd", attended, self.value) + self.value_bias
        return torch.einsum("bpc,pwc->bpw", values.flatten(2), self.output) + self.output_bias
