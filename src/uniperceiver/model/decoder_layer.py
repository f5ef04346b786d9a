"""One layer of the unified decoder: pre-norm attention and feed-forward, either of which may be conditional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.config import MoEConfig, UnifiedDecoderConfig
from uniperceiver.model.conditional_moe import (
    ConditionalPair,
    FoldedPair,
    LinearPair,
    PairWeights,
    apply_by_stream,
)
from uniperceiver.model.layers.attention import attend
from uniperceiver.model.prompts import DeepPrompts
from uniperceiver.model.segments import Bits, Side


class LayerWeights(NamedTuple):
    """What a layer applies in one forward: one entry per stream of tokens, or a single one for all of them."""

    attention: list[PairWeights]
    feed_forward: list[PairWeights]


class DecoderLayer(nn.Module):
    """Pre-norm Transformer layer: x + γ1·Attention(LN(x)), then x + γ2·W2·GELU(W1·LN(x)); γ only with layer scale.

    Exact GELU, biases everywhere, one rate of stochastic depth for both branches
    (App. B; spec/uni_perceiver_v1_moe.md, 2.5).
    """

    def __init__(self, config: UnifiedDecoderConfig, index: int) -> None:
        """``index`` counts layers from 0: ``config.moe.layers`` may make only some of them conditional."""
        super().__init__()
        width, hidden, moe = config.width, config.feedforward, config.moe
        if moe is not None and not moe.is_in(index):
            moe = None
        self.heads = config.heads
        self.drop_path = config.drop_path_of(index)
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        in_attention = moe if moe is not None and moe.in_attention else None
        self.attention = _pair(width, 3 * width, width, in_attention)
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.feed_forward = _pair(width, hidden, hidden, moe)
        scale = config.layer_scale
        self.gamma_1 = None if scale is None else nn.Parameter(torch.full((width,), scale))
        self.gamma_2 = None if scale is None else nn.Parameter(torch.full((width,), scale))
        self._initialise()
        self.prompts = None if config.prompts is None else DeepPrompts(width, config.prompts)

    def _initialise(self) -> None:
        """Xavier-uniform, each expert and gate on its own; qkv counts as three square maps (v1, section 2.7)."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                is_qkv = name.startswith("attention.") and "first" in name.split(".")
                for part in module.weight.chunk(3 if is_qkv else 1):
                    nn.init.xavier_uniform_(part)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self,
        x: Tensor,
        weights: LayerWeights,
        lengths: Sequence[int],
        is_blocked: Tensor | None,
        past: tuple[Tensor, Tensor] | None = None,
        first_only: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One layer on tokens x (B, L, D) whose streams have ``lengths``, with what `weights` gave for these streams.

        ``past`` are keys and values (B, heads, P, D/heads) of earlier tokens, and ``is_blocked`` is broadcastable to
        (B, heads, L, P + L). Gives the new x, of the first token alone with ``first_only``, and the keys and values of
        all P + L tokens.
        """
        normed = apply_by_stream(self.norm1(x), [pair.first for pair in weights.attention], lengths)
        query, key, value = normed.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        if first_only:
            x, query, lengths = x[:, :1], query[:, :, :1], [1]
            weights = LayerWeights(weights.attention[:1], weights.feed_forward[:1])
            is_blocked = None if is_blocked is None else is_blocked[:, :, :1]
        heads = attend(query, key, value, is_blocked).transpose(1, 2).flatten(2)
        x = x + self._branch(apply_by_stream(heads, [pair.second for pair in weights.attention], lengths), self.gamma_1)
        hidden = F.gelu(apply_by_stream(self.norm2(x), [pair.first for pair in weights.feed_forward], lengths))
        x = x + self._branch(
            apply_by_stream(hidden, [pair.second for pair in weights.feed_forward], lengths), self.gamma_2
        )
        return x, (key, value)

    def prompt_key_values(self, weights: LayerWeights, side: Side, batch: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values (B, heads, P, D/heads) of the layer's prompts, the same for all B sequences; None without.

        They are made with the maps of the first stream (spec/uni_perceiver_v1_moe.md, 10.8) and are the ``past`` of a
        sequence that has no other.
        """
        if self.prompts is None:
            return None
        normed = F.linear(self.norm1(self.prompts(side)), *weights.attention[0].first)
        _, key, value = (
            normed.unflatten(-1, (3, self.heads, -1)).permute(1, 2, 0, 3).expand(batch, -1, -1, -1, -1).unbind(1)
        )
        return key, value

    def weights(self, streams: Sequence[Bits]) -> LayerWeights:
        """The linear maps for streams with these routing bits; in training each call draws new gate noise."""
        return LayerWeights(self.attention.weights(streams), self.feed_forward.weights(streams))

    def fold(self, streams: Sequence[Bits]) -> None:
        """Replace experts and gates by the merged maps of these streams, in place."""
        if isinstance(self.attention, ConditionalPair):
            self.attention = self.attention.fold(streams)
        if isinstance(self.feed_forward, ConditionalPair):
            self.feed_forward = self.feed_forward.fold(streams)

    def _branch(self, update: Tensor, gamma: Tensor | None) -> Tensor:
        """Layer scale, and in training stochastic depth per sample: a kept update counts 1/(1 - rate)."""
        if gamma is not None:
            update = update * gamma
        if not self.training or self.drop_path == 0:
            return update
        kept = torch.rand(update.shape[0], 1, 1, device=update.device) >= self.drop_path
        return update * (kept / max(1 - self.drop_path, 1e-6)).to(update.dtype)


def _pair(width: int, hidden: int, middle: int, moe: MoEConfig | None) -> LinearPair | ConditionalPair | FoldedPair:
    """The linear maps of a sub-layer: plain, with experts, or what is left of these in deployment."""
    if moe is None:
        return LinearPair(width, hidden, middle)
    if moe.folded:
        return FoldedPair.empty(width, hidden, middle, [tuple(map(int, bits)) for bits in moe.folded])
    return ConditionalPair(width, hidden, middle, moe)
