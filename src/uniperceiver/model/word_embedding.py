"""f_text of Uni-Perceiver v1: words, positions and a type (spec/uni_perceiver_v1_moe.md, 2.2 and 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uniperceiver.batches import TextBatch
from uniperceiver.config import WordEmbeddingConfig
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.segments import Segment


class WordEmbedding(nn.Module):
    """Word + position + token type 0. Tokens do not see each other before g, which also normalises them."""

    def __init__(self, config: WordEmbeddingConfig, width: int) -> None:
        """``width`` is D."""
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary_size, width)
        self.positions = nn.Embedding(config.positions, width)
        self.token_types = nn.Embedding(config.token_types, width)
        self.spe_bias = nn.Parameter(torch.zeros(width)) if config.spe_bias else None
        for table in (self.words, self.positions, self.token_types):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, text: TextBatch) -> Segment:
        """One embedding per token, (B, L, D), with the places, slots and padding of the text.

        Raises:
            ValueError: ids or positions beyond the tables.
        """
        ids, positions = (part.masked_fill(text.is_padding, 0) for part in (text.ids, text.positions))
        self._check(ids, positions)
        return Segment(
            tokens=self._words(ids) + self.positions(positions) + self.token_types.weight[0],
            is_padding=text.is_padding,
            modality="text",
            positions=text.positions,
            is_slot=text.is_slot,
            causal=text.causal,
        )

    def step(self, text: TextBatch, cache: KeyValues) -> tuple[Segment, KeyValues]:
        """New tokens of a growing text; earlier ones do not matter to them here, so the cache stays as it is."""
        return self(text), cache

    def spe(self) -> Tensor:
        """What stands before every sequence, (D,): <SPE> bare, or the configured word at the first place."""
        word = self.config.prefix_word
        if word is None:
            return self._words(torch.tensor(self.config.spe_id, device=self.words.weight.device))
        bare = self._words(torch.tensor(word, device=self.words.weight.device))
        return bare + self.positions.weight[0] + self.token_types.weight[0]

    def _words(self, ids: Tensor) -> Tensor:
        words = self.words(ids)
        return words if self.spe_bias is None else words + self.spe_bias * (ids == self.config.spe_id)[..., None]

    def _check(self, ids: Tensor, positions: Tensor) -> None:
        if not ids.numel():
            shape = tuple(ids.shape)
            raise ValueError(f"texts without any token, ids of shape {shape}: give each at least its end token")
        if torch.compiler.is_exporting():  # a graph has no numbers yet
            return
        index, position = torch.stack([ids.max(), positions.max()]).tolist()
        if index >= self.config.vocabulary_size:
            raise ValueError(
                f"token id {index} is not in the vocabulary of {self.config.vocabulary_size} (text.vocabulary_size): "
                "the tokenizer belongs to another model"
            )
        if position >= self.config.positions:
            raise ValueError(
                f"a text of {position + 1} tokens is too long: this model takes {self.config.positions} "
                "(text.positions); encode it with max_tokens"
            )
