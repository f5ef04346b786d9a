"""What adapting adds to a model: low-rank updates, deep prompts, a bias of <SPE>, linear heads."""

from __future__ import annotations

import torch
from torch import nn

from uniperceiver.config import ModelConfig, WordEmbeddingConfig
from uniperceiver.model.linear_head import LinearHead
from uniperceiver.model.low_rank import add_low_rank_updates
from uniperceiver.model.prompts import add_prompts
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.model.word_embedding import WordEmbedding


def extend(model: UniPerceiver, config: ModelConfig) -> None:
    """Give a model what ``config`` has beyond its own, in place; ``config`` is then its configuration.

    The model computes what it did, but for the prompts, which start at random. New heads stand behind those there are.
    """
    own, place = model.config, next(model.g.parameters())
    if own.decoder.lora is None and config.decoder.lora is not None:
        add_low_rank_updates(model.g, config.decoder.lora)
    if own.decoder.prompts is None and config.decoder.prompts is not None:
        add_prompts(model.g, config.decoder.prompts)
    if isinstance(model.f_text, WordEmbedding) and isinstance(config.text, WordEmbeddingConfig):
        if config.text.spe_bias and model.f_text.spe_bias is None:
            words = model.f_text.words.weight
            model.f_text.spe_bias = nn.Parameter(torch.zeros_like(words[0]))
        model.f_text.config = config.text
    for head in config.heads[len(own.heads) :]:
        model.heads.append(LinearHead(head, model.g.width).to(place.device))
    model.config = config
