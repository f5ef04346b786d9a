"""The unified decoder g: one Transformer for every input and every target (Fig. 3, Sec. 4.3, App. B)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.config import UnifiedDecoderConfig
from uniperceiver.model.conditional_moe import ConditionalPair
from uniperceiver.model.decoder_layer import DecoderLayer
from uniperceiver.model.layers.attention import KeyValues, causal_is_blocked
from uniperceiver.model.low_rank import add_low_rank_updates
from uniperceiver.model.segments import Bits, Decoded, Segment, Side, TaskAttributes
from uniperceiver.model.visibility import blocked_keys, slots


class UnifiedDecoder(nn.Module):
    """g: <SPE> ‖ segments, type and position codes, pre-norm layers, and a read-out shared by inputs and targets.

    Who sees whom (`blocked_keys`): <SPE> and the tokens of non-causal segments see each other; a token of a causal
    segment sees them too, and its own segment by `causal_is_blocked`; nothing else sees causal tokens. Padding is seen
    by nobody.
    Paper: it says BERT-base's settings with 6 layers; like its ancestors' decoder, ours is pre-norm without a final
    encoder norm, and a LayerNorm and a Linear follow where g is read out (spec/uni_perceiver_v1_moe.md, 2.5, 2.6).
    Paper: silent on codes. A learned vector per modality is added to all tokens and a learned position to those of
    text; those of images carry their place already (Eq. 3 and 9).
    """

    def __init__(self, config: UnifiedDecoderConfig) -> None:
        super().__init__()
        self.width = config.width
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.layers))
        self.ln_post = nn.LayerNorm(config.width, eps=1e-5)
        self.proj = nn.Linear(config.width, config.width)
        self.spe = nn.Parameter(torch.empty(config.width)) if config.own_spe else None
        self.image_type = nn.Parameter(torch.empty(config.width)) if config.type_codes else None
        self.text_type = nn.Parameter(torch.empty(config.width)) if config.type_codes else None
        self.text_positions = nn.Embedding(config.text_positions, config.width) if config.text_positions else None
        self.norm = nn.LayerNorm(config.width, eps=1e-5) if config.input_norm == "shared" else None
        is_per_modality = config.input_norm == "per_modality"
        self.image_norm = nn.LayerNorm(config.width, eps=1e-5) if is_per_modality else None
        self.text_norm = nn.LayerNorm(config.width, eps=1e-5) if is_per_modality else None
        self.targets_have_image_bit = config.moe is not None and config.moe.targets_have_image_bit
        self._initialise(position_std=0.3 if is_per_modality else 0.02)
        if config.lora is not None:
            add_low_rank_updates(self, config.lora)

    def _initialise(self, position_std: float) -> None:
        """N(0, 0.02) vectors and tables, Xavier-uniform linear maps (v1, section 2.7); the layers do their own.

        Beside tokens of unit variance positions of 0.02 are not seen, so there they begin larger.
        """
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)
        for vector in (self.spe, self.image_type, self.text_type):
            if vector is not None:
                nn.init.normal_(vector, std=0.02)
        if self.text_positions is not None:
            nn.init.normal_(self.text_positions.weight, std=position_std)

    @property
    def prompts(self) -> int:
        """Number of prompts that every layer has."""
        prompts = self.stack[0].prompts
        return 0 if prompts is None else len(prompts.inputs)

    @property
    def stack(self) -> list[DecoderLayer]:
        """The layers, in order."""
        return cast("list[DecoderLayer]", list(self.layers))

    def forward(
        self,
        segments: Sequence[Segment],
        attributes: TaskAttributes,
        side: Side = "input",
        spe: Tensor | None = None,
    ) -> Decoded:
        """g(<SPE> ‖ segments), read out at every token.

        ``side`` says whether this is an input x or a target y. ``spe`` (D,) is the <SPE> vector of a decoder without
        its own (v1). Raises ValueError for no segments, another width, or text positions outside the table.
        """
        sequence = self._sequence(segments, attributes, side, spe)
        x, _ = self._layers(sequence, KeyValues())
        read_out = self.proj(self.ln_post(x))
        parts = read_out[:, 1:].split([segment.tokens.shape[1] for segment in segments], dim=1)
        return Decoded(read_out[:, 0], tuple(parts))

    def summary(
        self,
        segments: Sequence[Segment],
        attributes: TaskAttributes,
        side: Side = "input",
        spe: Tensor | None = None,
    ) -> Tensor:
        """What `forward` reads out at <SPE>, (B, D), without the last layer's work on the other tokens."""
        sequence = self._sequence(segments, attributes, side, spe)
        x, _ = self._layers(sequence, KeyValues(), first_only=True)
        return self.proj(self.ln_post(x[:, 0]))

    def prefill(self, segments: Sequence[Segment], attributes: TaskAttributes, spe: Tensor | None = None) -> KeyValues:
        """Keys and values of <SPE> ‖ non-causal input segments, before any word is generated."""
        if any(segment.causal for segment in segments):
            raise ValueError("prefill takes the non-causal segments; feed causal text to `step`")
        sequence = self._sequence(segments, attributes, "input", spe)
        _, cache = self._layers(sequence, KeyValues(), first_only=True)
        prompts = cache.length - sequence.is_padding.shape[1]
        cache.is_padding = F.pad(sequence.is_padding, (prompts, 0))
        return cache

    def step(self, segment: Segment, attributes: TaskAttributes, cache: KeyValues) -> tuple[Tensor, KeyValues]:
        """New causal tokens, usually (last word, next slot), after what is cached.

        Gives their read-outs (B, n, D) and the cache with the new words; slots never enter it. ``segment.positions``
        are absolute, above those of the cached words. Equals `forward` on the training layout.
        """
        x, grown = self._continued(segment, attributes, cache)
        assert cache.is_padding is not None
        hidden = slots(segment) | segment.is_padding
        kept = _places_of_words(cache.length, (~hidden.all(dim=0)).tolist())
        padding = torch.cat([cache.is_padding, hidden], dim=1)[:, kept]
        words = KeyValues([k[:, :, kept] for k in grown.keys], [v[:, :, kept] for v in grown.values], padding)
        return self.proj(self.ln_post(x)), words

    def follow(self, segment: Segment, attributes: TaskAttributes, cache: KeyValues) -> Tensor:
        """Read-outs (B, n, D) of a whole causal segment, words and slots, after what is cached.

        They are those of `forward`. Several texts about one picture can so share the work on the picture, which does
        not see them: `cache` is its `prefill` with rows repeated.
        """
        x, _ = self._continued(segment, attributes, cache)
        return self.proj(self.ln_post(x))

    def fold(self, streams: Iterable[Bits]) -> UnifiedDecoder:
        """A copy for deployment, in evaluation mode: plain weights for each of the routing bits, no experts, no gates.

        Its outputs are the same and it can be saved like any module; to load it, fold a fresh decoder alike and load
        the state dict into it. Any other routing bits raise KeyError.
        """
        streams = tuple(streams)
        folded = copy.deepcopy(self).eval()
        for layer in folded.stack:
            layer.fold(streams)
        return folded

    def deployed_parameters(self, streams: int = 1) -> int:
        """Number of parameters after folding for this many streams (Tab. 6, "#params", counts one)."""
        pairs = [module for module in self.modules() if isinstance(module, ConditionalPair)]
        conditional = sum(p.numel() for pair in pairs for p in pair.parameters())
        shared = sum(p.numel() for p in self.parameters()) - conditional
        return shared + streams * sum(pair.folded_size() for pair in pairs)

    def _continued(self, segment: Segment, attributes: TaskAttributes, cache: KeyValues) -> tuple[Tensor, KeyValues]:
        """What the layers make of new causal tokens, and all keys and values."""
        if not segment.causal or segment.positions is None:
            positions = "no" if segment.positions is None else "with"
            raise ValueError(
                "what is cached continues with a causal text segment with positions, "
                f"got causal={segment.causal}, {positions} positions"
            )
        if cache.is_padding is None or not cache.keys:
            raise ValueError("a cache that `prefill` made can be continued, got an empty one")
        new = (causal_is_blocked(segment.positions, slots(segment)) | segment.is_padding[:, None, :])[:, None]
        seen = cache.is_padding[:, None, None, :].expand(-1, -1, new.shape[2], -1)
        bits = attributes.bits(segment.modality, "input", causal=True)
        tokens = self._coded(segment)
        blocked = torch.cat([seen, new], dim=-1)
        return self._layers(_Sequence(tokens, segment.is_padding, [bits], [tokens.shape[1]], blocked), cache)

    def _sequence(
        self, segments: Sequence[Segment], attributes: TaskAttributes, side: Side, spe: Tensor | None
    ) -> _Sequence:
        if not segments:
            raise ValueError("the unified decoder needs at least one segment, got none")
        if side == "target" and self.targets_have_image_bit:
            attributes = replace(attributes, input_image=True)
        prefix = self._prefix(segments[0].tokens, spe)
        tokens = torch.cat([prefix, *(self._coded(segment) for segment in segments)], dim=1)
        is_padding = torch.cat(
            [segments[0].is_padding.new_zeros(prefix.shape[:2]), *(segment.is_padding for segment in segments)], dim=1
        )
        bits = [attributes.bits(segment.modality, side, segment.causal) for segment in segments]
        lengths = [segment.tokens.shape[1] for segment in segments]
        lengths[0] += 1
        return _Sequence(tokens, is_padding, *_joined(bits, lengths), blocked_keys(segments, is_padding), side)

    def _prefix(self, tokens: Tensor, spe: Tensor | None) -> Tensor:
        """<SPE> as (B, 1, D). It has neither type nor position code (v1, section 2.4)."""
        if (self.spe is None) == (spe is None):
            owner = "has no <SPE> of its own: pass `spe`" if spe is None else "has its own <SPE>: do not pass `spe`"
            raise ValueError(f"this unified decoder {owner} (decoder.own_spe in the configuration)")
        vector = self.spe if spe is None else spe
        assert vector is not None
        if vector.shape != (self.width,):
            raise ValueError(f"expected <SPE> of shape ({self.width},), got {tuple(vector.shape)}")
        # Where it is given, <SPE> is a word, and words have the norm of texts.
        norm = self.norm if spe is None or self.text_norm is None else self.text_norm
        vector = vector if norm is None else norm(vector)
        return vector.to(tokens.dtype).expand(tokens.shape[0], 1, -1)

    def _coded(self, segment: Segment) -> Tensor:
        """Tokens of a segment with type and position codes added, normalised before (per modality) or after (v1)."""
        tokens = segment.tokens
        if tokens.ndim != 3 or tokens.shape[2] != self.width:
            raise ValueError(f"expected tokens (B, L, {self.width}), decoder.width, got {tuple(tokens.shape)}")
        is_image = segment.modality == "image"
        code, norm = (self.image_type, self.image_norm) if is_image else (self.text_type, self.text_norm)
        if norm is not None:
            tokens = norm(tokens)
        if code is not None:
            tokens = tokens + code
        if self.text_positions is not None and segment.modality == "text":
            tokens = tokens + self.text_positions(self._checked_positions(segment))
        return tokens if self.norm is None else self.norm(tokens)

    def _checked_positions(self, segment: Segment) -> Tensor:
        assert self.text_positions is not None
        rows = self.text_positions.num_embeddings
        if segment.positions is None:
            raise ValueError("a text segment needs positions: the decoder adds position codes to text")
        positions = segment.positions.masked_fill(segment.is_padding, 0)
        if torch.compiler.is_exporting():  # a graph has no numbers yet
            return positions
        if positions.numel() and not 0 <= int(positions.min()) <= int(positions.max()) < rows:
            raise ValueError(
                f"text positions {int(positions.min())} to {int(positions.max())} do not fit the table of {rows} "
                "positions: shorten the text (max_tokens of the task) or enlarge decoder.text_positions"
            )
        return positions

    def _layers(self, sequence: _Sequence, cache: KeyValues, first_only: bool = False) -> tuple[Tensor, KeyValues]:
        """The layers' x, with ``first_only`` of the first token, and the keys and values of all."""
        # All routing before all work: reading the gates' choice waits for the device, once here instead of per layer.
        weights = [layer.weights(sequence.bits) for layer in self.stack]
        x, grown, is_blocked = sequence.tokens, KeyValues(), sequence.is_blocked
        if not cache.keys and is_blocked is not None and self.prompts:
            is_blocked = F.pad(is_blocked, (self.prompts, 0))
        for index, (layer, layer_weights) in enumerate(zip(self.stack, weights, strict=True)):
            if cache.keys:
                past: tuple[Tensor, Tensor] | None = (cache.keys[index], cache.values[index])
            else:
                past = layer.prompt_key_values(layer_weights, sequence.side, x.shape[0])
            is_read_at_first = first_only and index == len(weights) - 1
            x, (key, value) = layer(x, layer_weights, sequence.lengths, is_blocked, past, is_read_at_first)
            grown.keys.append(key)
            grown.values.append(value)
        return x, grown


@dataclass(frozen=True)
class _Sequence:
    """What enters the layers: all tokens, and how they divide into streams."""

    tokens: Tensor
    """(B, L, D)."""
    is_padding: Tensor
    """(B, L) bool."""
    bits: list[Bits]
    """Routing bits of each stream, in order."""
    lengths: list[int]
    """Tokens of each stream, adding up to L."""
    is_blocked: Tensor | None
    """Broadcastable to (B, heads, L, keys); None: everything is seen."""
    side: Side = "input"


def _places_of_words(cached: int, is_word: list[bool]) -> slice | list[int]:
    """Where the cached tokens and those new ones stand that are words.

    As a slice where words come first, as in decoding word by word: it shares the memory of what it is taken from, while
    any other choice copies all keys and values.
    """
    words = sum(is_word)
    if all(is_word[:words]):
        return slice(cached + words)
    return [*range(cached), *(cached + place for place, is_kept in enumerate(is_word) if is_kept)]


def _joined(bits: Sequence[Bits], lengths: Sequence[int]) -> tuple[list[Bits], list[int]]:
    """Streams and their lengths, neighbours with the same bits made one."""
    streams: list[Bits] = []
    tokens: list[int] = []
    for stream, length in zip(bits, lengths, strict=True):
        if streams and streams[-1] == stream:
            tokens[-1] += length
        else:
            streams.append(stream)
            tokens.append(length)
    return streams, tokens
