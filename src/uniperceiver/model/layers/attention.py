"""What every attention of the project shares: the product, its cache, and the causal pattern with slots."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.linear import linear


@dataclass
class KeyValues:
    """Keys and values of tokens already seen, one entry per layer, so that decoding feeds only what is new.

    ``keys`` and ``values`` are lists of (B, heads, L, D/heads); ``is_padding`` is (B, L), True where the cached token
    is padding. Empty lists mean nothing has been seen.
    """

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    is_padding: Tensor | None = None

    @property
    def length(self) -> int:
        """Number of cached tokens."""
        return self.keys[0].shape[2] if self.keys else 0

    def kept(self, rows: Tensor) -> KeyValues:
        """The same cache for the batch rows given by an index (R,): a row may be dropped or repeated (beam search)."""
        padding = None if self.is_padding is None else self.is_padding.index_select(0, rows)
        return KeyValues(
            [k.index_select(0, rows) for k in self.keys], [v.index_select(0, rows) for v in self.values], padding
        )


def attend(query: Tensor, key: Tensor, value: Tensor, is_blocked: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention of (B, heads, Lq, d), (B, heads, Lk, d), (B, heads, Lk, d) -> (B, heads, Lq, d).

    ``is_blocked`` is boolean, broadcastable to (B, heads, Lq, Lk). A query that may attend to nothing (all padding)
    gives zeros rather than NaN.
    """
    mask = None
    if is_blocked is not None:
        mask = torch.zeros_like(is_blocked, dtype=query.dtype).masked_fill_(is_blocked, float("-inf"))
        nothing = is_blocked.all(dim=-1, keepdim=True)
        mask = mask.masked_fill(nothing, 0.0)
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        # PyTorch's fused product needs 3 to 5 times as long for the gradient here (docs/performance.md)
        scores = (query * query.shape[-1] ** -0.5) @ key.mT
        out = (scores if mask is None else scores + mask).softmax(dim=-1) @ value
    else:
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    if is_blocked is not None:
        out = out.masked_fill(nothing, 0.0)
    return out


class SelfAttention(nn.MultiheadAttention):
    """Self-attention with the parameters and their names of PyTorch's module, and the product of `attend`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, batch_first=True)

    def forward(self, query: Tensor, value: Tensor, is_blocked: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Queries, which are also the keys, and values, (B, Q, C) each -> (B, Q, C); ``is_blocked`` is (Q, Q) bool."""
        assert self.in_proj_weight is not None
        width = self.embed_dim
        query_and_key = linear(query, self.in_proj_weight[: 2 * width], self.in_proj_bias[: 2 * width])
        projected = linear(value, self.in_proj_weight[2 * width :], self.in_proj_bias[2 * width :])
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (*query_and_key.chunk(2, -1), projected)
        )
        return self.out_proj(attend(q, k, v, is_blocked).transpose(1, 2).flatten(2))


def causal_is_blocked(
    positions: Tensor, is_slot: Tensor, key_positions: Tensor | None = None, key_is_slot: Tensor | None = None
) -> Tensor:
    """The causal pattern with slots, (B, Lq, Lk): a token sees itself and every *word* at an earlier position.

    One rule serves words (they see earlier words and themselves), training slots (slot i sees the words before
    position i and itself, never another slot) and words looking at slots (never). ``positions`` and ``is_slot`` are
    (B, L): the place in the text, and whether the token is a slot. With ``key_*`` given, the first Lk - Lq keys are
    older tokens (a cache of words) and the last Lq keys are the queries themselves.
    Source: spec/uni_perceiver_v1_moe.md, section 4.
    """
    if key_positions is None or key_is_slot is None:
        key_positions, key_is_slot = positions, is_slot
    is_earlier_word = (key_positions[:, None, :] < positions[:, :, None]) & ~key_is_slot[:, None, :]
    queries, keys = positions.shape[1], key_positions.shape[1]
    is_self = torch.zeros(queries, keys, dtype=torch.bool, device=positions.device)
    is_self[:, keys - queries :].fill_diagonal_(True)
    return ~(is_earlier_word | is_self)
