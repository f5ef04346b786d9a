"""Deep prompts: learned tokens that every layer of g sees beside the real ones (prompt tuning).

The form is v1's (spec/uni_perceiver_v1_moe.md, 2.8; its App. C), for all families: every layer has P vectors of its
own; they go through the layer's first norm and its key and value maps, with the experts of the first stream, and stand
before the keys and values of the sequence. They ask nothing themselves, so the sequence keeps its length, and nobody is
blocked from them. In decoding word by word they stand in the cache, before the image. v1's files call them
``layers.N.deep_prompt_embedding.embedding`` and ``.target_embedding``; here they are ``layers.N.prompts.inputs`` and
``.targets``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from uniperceiver.config import PromptConfig
from uniperceiver.model.segments import Side

if TYPE_CHECKING:
    from uniperceiver.model.unified_decoder import UnifiedDecoder


class DeepPrompts(nn.Module):
    """The prompts of one layer, (P, D); with ``config.for_targets`` others for targets y than for inputs x.

    Paper: v1 does not say how they start; N(0, 0.02), as its embeddings do.
    """

    def __init__(self, width: int, config: PromptConfig) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.empty(config.number, width).normal_(std=0.02))
        self.targets = nn.Parameter(torch.empty(config.number, width).normal_(std=0.02)) if config.for_targets else None

    def forward(self, side: Side) -> Tensor:
        """The prompts (P, D) of a side."""
        return self.inputs if side == "input" or self.targets is None else self.targets


def add_prompts(decoder: UnifiedDecoder, config: PromptConfig) -> None:
    """Give every layer of g prompts, in place."""
    for layer in decoder.stack:
        layer.prompts = DeepPrompts(decoder.width, config).to(layer.norm1.weight)
