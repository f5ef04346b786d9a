"""f_text, Eq. (4): a Transformer language model of the BERT family.

Post-norm layers as in BERT (Devlin et al. 2018, Sec. 3) and RoBERTa (Liu et al. 2019): attention and feed-forward, each
added to its input and then normalised, with the exact GELU in between. Words, positions and token type 0 are added and
normalised before the first layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.batches import TextBatch
from uniperceiver.config import TextEncoderConfig
from uniperceiver.model.layers.attention import KeyValues, attend, causal_is_blocked
from uniperceiver.model.segments import Segment


class LayerKeyValue(NamedTuple):
    """Keys and values of one layer."""

    key: Tensor
    """(B, heads, L, Ct/heads)."""
    value: Tensor
    """(B, heads, L, Ct/heads)."""


class TextEmbedding(nn.Module):
    """Word + position + token type, normalised."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.longest = config.positions
        self.offset = config.position_offset
        self.words = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Embedding(config.position_offset + config.positions, config.width)
        self.token_types = nn.Embedding(config.token_types, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Ids (B, L) and positions (B, L) from 0, both int64 -> (B, L, Ct)."""
        embedded = self.words(ids) + self.positions(positions + self.offset) + self.token_types.weight[0]
        return self.norm(embedded)


class PostNormLayer(nn.Module):
    """One layer of BERT: x ← LN(x + attention(x)), then x ← LN(x + FFN(x))."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise ValueError(f"text.width {config.width} is not divisible by text.heads {config.heads}")
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.attention_output = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)
        self.feedforward_input = nn.Linear(config.width, config.feedforward)
        self.feedforward_output = nn.Linear(config.feedforward, config.width)
        self.feedforward_norm = nn.LayerNorm(config.width, eps=config.layer_norm_eps)

    def forward(
        self, x: Tensor, is_blocked: Tensor | None, past: LayerKeyValue | None = None
    ) -> tuple[Tensor, LayerKeyValue]:
        """Tokens (B, L, Ct) -> the same, and their own keys and values.

        ``past`` are keys and values of older tokens to look at as well; ``is_blocked`` is bool, broadcastable to
        (B, heads, L, past + L).
        """
        own = LayerKeyValue(self._per_head(self.key(x)), self._per_head(self.value(x)))
        key, value = own if past is None else (torch.cat([old, new], dim=2) for old, new in zip(past, own, strict=True))
        attended = attend(self._per_head(self.query(x)), key, value, is_blocked).transpose(1, 2).flatten(2)
        x = self.attention_norm(x + self.attention_output(attended))
        x = self.feedforward_norm(x + self.feedforward_output(F.gelu(self.feedforward_input(x))))
        return x, own

    def _per_head(self, x: Tensor) -> Tensor:
        """(B, L, Ct) -> (B, heads, L, Ct/heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TextEncoder(nn.Module):
    """f_text, Eq. (4). Ct is the width of the language model, D that of g.

    Paper: gives no dropout for the joint training; there is none, as on v1's text side. It does not say what stands for
    a word to be predicted either: the language model's mask token does, which its pre-training taught that.
    """

    def __init__(self, config: TextEncoderConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = TextEmbedding(config)
        self.layers = nn.ModuleList(PostNormLayer(config) for _ in range(config.layers))
        # Paper: the decoder is as wide as RoBERTa, so nothing is said of other widths; they get one linear layer.
        self.projection = nn.Identity() if width == config.width else nn.Linear(config.width, width)
        self.apply(_initialise)
        if config.frozen:
            self.embedding.requires_grad_(False)
            self.layers.requires_grad_(False)

    def forward(self, text: TextBatch) -> Segment:
        """Eq. (4): one feature per token, (B, L, D), with the places, slots and padding of the text.

        A bidirectional text: every token sees every token that is not padding. A causal one: `causal_is_blocked`; where
        it passes no layer (``causal_layers`` 0), the embedding of a slot has that of the word before it added.
        Features of padding have no meaning. ValueError for ids or positions beyond the tables, and for zero tokens.
        """
        return self.segment(text, self.hidden(text))

    def hidden(self, text: TextBatch) -> Tensor:
        """Features (B, L, Ct) before the projection: a frozen encoder's are constants, worth keeping."""
        x, _ = self._encode(text, KeyValues())
        return x

    def segment(self, text: TextBatch, hidden: Tensor) -> Segment:
        """What g reads, from features (B, L, Ct) given by `hidden` for the same text."""
        return Segment(
            tokens=self.projection(hidden),
            is_padding=text.is_padding,
            modality="text",
            positions=text.positions,
            is_slot=text.is_slot,
            causal=text.causal,
        )

    def step(self, text: TextBatch, cache: KeyValues) -> tuple[Segment, KeyValues]:
        """Encode only the new tokens of a causal text, [last word, next slot], given the words before them.

        Positions count from the start of the text. Words enter the returned cache, slots do not; the given cache stays
        as it is. The first step has an empty cache and usually the slot alone. Features equal those of the layout
        `TextBatch.with_slot_per_word`. ValueError for a text that is not causal: its earlier tokens would change.
        """
        if not text.causal:
            raise ValueError("step needs a causal text: in a bidirectional one earlier tokens would see the new ones")
        x, new = self._encode(text, cache)
        is_word = ~text.is_slot & ~text.is_padding
        columns = is_word.any(dim=0).nonzero()[:, 0]
        keys = _appended(cache.keys, [own.key[:, :, columns] for own in new])
        values = _appended(cache.values, [own.value[:, :, columns] for own in new])
        is_padding = ~is_word[:, columns]
        if cache.is_padding is not None:
            is_padding = torch.cat([cache.is_padding, is_padding], dim=1)
        return self.segment(text, x), KeyValues(keys, values, is_padding)

    def _encode(self, text: TextBatch, cache: KeyValues) -> tuple[Tensor, list[LayerKeyValue]]:
        """Features (B, L, Ct) of new tokens that follow the cached ones, and their keys and values in each layer."""
        has_padding = self._check(text)
        layers = self.layers[: self.config.causal_layers] if text.causal else self.layers
        is_blocked = _is_blocked(text, cache, has_padding) if len(layers) else None
        past: list[LayerKeyValue | None] = [None] * len(layers)
        if cache.length:
            past = [LayerKeyValue(key, value) for key, value in zip(cache.keys, cache.values, strict=True)]
        own = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            # positions and ids of padding may be anything: they are looked up at a valid row
            x = self.embedding(text.ids.masked_fill(text.is_padding, 0), text.positions.masked_fill(text.is_padding, 0))
            if text.causal and not len(layers):
                x = x + _is_last_word(text).to(x.dtype) @ x
            words = x
            for layer, seen in zip(layers, past, strict=True):
                x, key_value = layer(x, is_blocked, seen)
                own.append(key_value)
            if self.config.keeps_words and len(layers):
                x = x + words
        return x, own

    def _check(self, text: TextBatch) -> bool:
        """Refuse what the tables do not hold; returns whether anything is padding (one wait for the device in all)."""
        if text.ids.numel() == 0:
            shape = tuple(text.ids.shape)
            raise ValueError(
                f"texts without any token, ids of shape {shape}: give each at least its start and end token"
            )
        if torch.compiler.is_exporting():  # a graph has no numbers yet, and serves inputs with padding and without
            return True
        largest = [part.masked_fill(text.is_padding, 0).max() for part in (text.ids, text.positions)]
        index, position, has_padding = torch.stack([*largest, text.is_padding.any().long()]).tolist()
        if index >= self.config.vocabulary_size:
            raise ValueError(
                f"token id {index} is not in the vocabulary of {self.config.vocabulary_size} (text.vocabulary_size): "
                "the tokenizer belongs to another language model"
            )
        if position >= self.config.positions:
            raise ValueError(
                f"a text of {position + 1} tokens is too long: this model takes {self.config.positions} "
                "(text.positions); encode it with max_tokens"
            )
        return bool(has_padding)


def _is_blocked(text: TextBatch, cache: KeyValues, has_padding: bool) -> Tensor | None:
    """What new tokens may not see among the cached ones and themselves, broadcastable to (B, 1, L, cached + L)."""
    is_padding = text.is_padding if cache.is_padding is None else torch.cat([cache.is_padding, text.is_padding], dim=1)
    if not text.causal:
        # without a mask the attention may take its fastest way
        return is_padding[:, None, None, :] if has_padding else None
    # cached tokens are words before all new ones, whatever their exact place
    before = text.positions.new_full((text.size, cache.length), -1)
    is_blocked = causal_is_blocked(
        text.positions,
        text.is_slot,
        torch.cat([before, text.positions], dim=1),
        torch.cat([torch.zeros_like(before, dtype=torch.bool), text.is_slot], dim=1),
    )
    return (is_blocked | is_padding[:, None, :])[:, None]


def _is_last_word(text: TextBatch) -> Tensor:
    """(B, L, L) bool: for each slot, the word right before its position. It must be among the given tokens."""
    is_before = text.positions[:, None, :] + 1 == text.positions[:, :, None]
    is_word = ~text.is_slot & ~text.is_padding
    return is_before & text.is_slot[:, :, None] & is_word[:, None, :]


def _appended(old: list[Tensor], new: list[Tensor]) -> list[Tensor]:
    """Each layer's cached (B, heads, L, d) followed by its new ones."""
    return [torch.cat(pair, dim=2) for pair in zip(old, new, strict=True)] if old else new


def _initialise(module: nn.Module) -> None:
    """BERT's initialisation: weights from N(0, 0.02²), biases zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
