"""The target set Y of Eq. (5) to (7): texts encoded once per step in training, and kept in evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from uniperceiver.batches import TextBatch
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.distributed import gather_with_gradient, rank, world_size
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.encoding_store import WORTH_KEEPING, EncodingStore

TOKENS_PER_CHUNK = 4096
"""Tokens, padding included, that are encoded together: bounds memory when Y is a whole vocabulary, and keeps what a
layer computes in a processor's cache."""
WORTH_A_PASS = 1024
"""Tokens from which on texts of one length are a pass of their own, without padding."""
SHARED_FROM = 256
"""Sets of at least this many candidates are split over the processes in training."""

Fingerprint = tuple[tuple[int, int], ...]
"""Identity and version of tensors: changes when any of them is written in place or replaced."""


@dataclass(frozen=True)
class Draw:
    """Some of the candidates, and targets that count within them."""

    index: Tensor | None
    """(n,) int64, which candidates, ascending; None: every one."""
    targets: Tensor
    """Targets counted among the drawn candidates, of the shape they were given in."""


@dataclass
class _KeptHidden:
    """Hidden states of a frozen text encoder for all candidates, texts one after the other without padding."""

    fingerprint: Fingerprint
    states: Tensor
    """(tokens of all texts, Ct)."""


@dataclass
class _KeptEncodings:
    """Representations of all candidates as some weights made them."""

    model: weakref.ref[UniPerceiver]
    fingerprint: Fingerprint
    encodings: dict[TaskAttributes, Tensor]


class CandidateSet:
    """Texts that may be the answer. Each is a target y = <SPE> ‖ f_text(text), represented at <SPE> (Sec. 4.3).

    Any number of texts of any length the model has positions for; each is encoded on its own, nothing is cut. In
    evaluation (no gradients, model in eval mode) the representations are kept until the weights change; the hidden
    states of a frozen text encoder are kept always. ``texts``, or else ``token_ids``, suffice to build the set again.
    """

    texts: tuple[str, ...]
    """What each candidate says."""
    token_ids: tuple[int, ...]
    """For a vocabulary, the token that each candidate is; empty for texts."""
    store: EncodingStore | None
    """Where representations of large sets are kept between runs; None: nowhere."""

    def __init__(
        self,
        texts: Sequence[str],
        rows: Sequence[Sequence[int]],
        token_ids: Sequence[int],
        padding_id: int,
        synonyms: Sequence[Sequence[str]] = (),
    ) -> None:
        """``rows`` are the ids of ``texts``, start and end included; the class methods below make them.

        Behind them stand the rows of ``synonyms``, the other names of each text.
        """
        self.texts = tuple(texts)
        self.token_ids = tuple(token_ids)
        self._rows = tuple(tuple(row) for row in rows)
        self._padding_id = padding_id
        self._lengths = torch.tensor([len(row) for row in self._rows], dtype=torch.int64)
        # One row after the other: a batch is then one gather, which counts when Y is a vocabulary of 50,000.
        self._ids = torch.tensor([index for row in self._rows for index in row], dtype=torch.int64)
        self._starts = self._lengths.cumsum(0) - self._lengths
        self._names = (*self.texts, *(name for names in synonyms for name in names))
        """What each row says."""
        self._synonyms = torch.tensor([len(names) for names in synonyms], dtype=torch.int64)
        """How many each candidate has."""
        self.store = None
        self._hidden: _KeptHidden | None = None
        self._kept: _KeptEncodings | None = None

    @classmethod
    def from_texts(cls, texts: Iterable[str], tokenizer: Tokenizer, synonyms: Sequence[Sequence[str]] = ()) -> Self:
        """One candidate per text, e.g. per class name.

        ``synonyms``, if given, are other names of each: in training (model in training mode) a candidate is called by
        one of its names, drawn anew each time, as v1 does with those of ImageNet-22k; in evaluation by its text.
        """
        texts = tuple(texts)
        others = [name for names in synonyms for name in names]
        rows = tokenizer.encode_batch([*texts, *others])
        return cls(texts, rows, (), tokenizer.padding_id, synonyms)

    @classmethod
    def from_token_ids(cls, ids: Iterable[int], tokenizer: Tokenizer) -> Self:
        """One candidate per token of the vocabulary: start, the token, end."""
        ids = tuple(ids)
        rows = [tokenizer.framed([index]) for index in ids]
        return cls([tokenizer.decode([index]) for index in ids], rows, ids, tokenizer.padding_id)

    @classmethod
    def restored(cls, texts: Iterable[str], token_ids: Iterable[int], tokenizer: Tokenizer) -> Self:
        """The set that had these ``texts`` and ``token_ids``, e.g. when it was stored in a checkpoint."""
        token_ids = tuple(token_ids)
        return cls.from_token_ids(token_ids, tokenizer) if token_ids else cls.from_texts(texts, tokenizer)

    def __len__(self) -> int:
        return len(self.texts)

    def sample(self, targets: Tensor, number: int, generator: torch.Generator | None = None) -> Draw:
        """All candidates that occur in ``targets``, any shape of int64, and ``number`` others at random.

        ``generator`` is one of the CPU; None draws from torch's global one.
        """
        is_target = torch.zeros(len(self), dtype=torch.bool)
        is_target[targets.flatten().cpu()] = True
        others = (~is_target).nonzero().squeeze(1)
        chosen = others[torch.randperm(len(others), generator=generator)[:number]]
        index = torch.cat([is_target.nonzero().squeeze(1), chosen]).sort().values.to(targets.device)
        return Draw(index, torch.searchsorted(index, targets.contiguous()))

    def draw(self, targets: Tensor, number: int | None) -> Draw:
        """What training compares with: `sample`, or every candidate when ``number`` is None."""
        if number is None:
            return Draw(None, targets)
        return self.sample(targets, number)

    def encode(self, model: UniPerceiver, attributes: TaskAttributes, index: Tensor | None = None) -> Tensor:
        """The representations (Y, D) of all candidates, or (n, D) of those at ``index`` (n,).

        Processes that train together must call this together: they share the work on large sets.

        Raises:
            ValueError: there are no candidates, or one is longer than the model's positions.
        """
        self._check(model)
        if index is not None:
            return self._encode(model, attributes, index.cpu())
        everything = torch.arange(len(self))
        if torch.is_grad_enabled() or model.training:
            self._kept = None
            is_shared = torch.is_grad_enabled() and world_size() > 1 and len(self) >= max(SHARED_FROM, world_size())
            if not is_shared:
                return self._encode(model, attributes, everything)
            part = everything.tensor_split(world_size())[rank()]
            return gather_with_gradient(self._encode(model, attributes, part))
        kept = self._encodings_kept_for(model)
        if attributes not in kept:
            kept[attributes] = self._encode_or_find(model, attributes)
        return kept[attributes]

    def _encode_or_find(self, model: UniPerceiver, attributes: TaskAttributes) -> Tensor:
        """All candidates, from disk where they are kept there."""
        everything = torch.arange(len(self))
        if self.store is None or len(self) < WORTH_KEEPING:
            return self._encode(model, attributes, everything)
        key = self.store.key(model, attributes, self._rows[: len(self)])
        found = self.store.find(key)
        if found is not None:
            return found.to(next(model.parameters()).device)
        encodings = self._encode(model, attributes, everything)
        self.store.keep(key, encodings)
        return encodings

    def _check(self, model: UniPerceiver) -> None:
        if not self.texts:
            raise ValueError("the candidate set is empty: give the task at least one class name, word or answer")
        longest = int(self._lengths.argmax())
        positions = model.config.text.positions
        if len(self._rows[longest]) > positions:
            raise ValueError(
                f"candidate {self._names[longest]!r} has {len(self._rows[longest])} tokens but the text encoder only "
                f"{positions} positions: shorten it, or use a text encoder with more positions"
            )

    def _encodings_kept_for(self, model: UniPerceiver) -> dict[TaskAttributes, Tensor]:
        fingerprint = _fingerprint([*model.parameters(), *model.buffers()])
        if self._kept is None or self._kept.model() is not model or self._kept.fingerprint != fingerprint:
            self._kept = _KeptEncodings(weakref.ref(model), fingerprint, {})
        return self._kept.encodings

    def _encode(self, model: UniPerceiver, attributes: TaskAttributes, index: Tensor) -> Tensor:
        """Encode candidates in chunks of similar length, and put them back into the order of ``index``."""
        if model.training and len(self._names) > len(self):
            index = self._called_at_random(index)
        order = self._lengths[index].argsort(stable=True)
        chunks = self._chunks(index[order])
        spe = torch.cat([self._encode_chunk(model, attributes, chunk) for chunk in chunks])
        return spe[order.argsort().to(spe.device)]

    def _called_at_random(self, index: Tensor) -> Tensor:
        """Of each candidate at ``index`` the row of one of its names."""
        number = self._synonyms[index]
        name = (torch.rand(len(index)) * (number + 1)).long().clamp(max=number)
        first = len(self) + self._synonyms.cumsum(0)[index] - number
        return torch.where(name == 0, index, first + name - 1)

    def _chunks(self, index: Tensor) -> list[Tensor]:
        """Candidates sorted by length, cut where padding or memory would grow too much."""
        chunks: list[list[int]] = []
        for candidate in index.tolist():
            length = len(self._rows[candidate])
            if chunks and self._has_room(chunks[-1], length):
                chunks[-1].append(candidate)
            else:
                chunks.append([candidate])
        return [torch.tensor(chunk) for chunk in chunks]

    def _has_room(self, chunk: list[int], length: int) -> bool:
        """Whether a text of ``length`` tokens, no shorter than those of the chunk, is best encoded with them."""
        shortest = len(self._rows[chunk[0]])
        if length * (len(chunk) + 1) > TOKENS_PER_CHUNK:
            return False
        # Up to twice the shortest text's length, one larger pass is faster than two small ones.
        return length == shortest or (length <= 2 * shortest and shortest * len(chunk) < WORTH_A_PASS)

    def _encode_chunk(self, model: UniPerceiver, attributes: TaskAttributes, index: Tensor) -> Tensor:
        device = next(model.parameters()).device
        text = self._text(index).to(device)
        f_text = model.f_text
        if isinstance(f_text, TextEncoder) and f_text.config.frozen:
            segment = f_text.segment(text, self._hidden_of(f_text, text, index))
        else:
            segment = model.encode_text(text)
        return model.summary(segment, attributes=attributes, side="target")

    def _text(self, index: Tensor) -> TextBatch:
        places, is_padding = self._places(index)
        return TextBatch(
            ids=self._ids[places].masked_fill(is_padding, self._padding_id),
            is_padding=is_padding,
            positions=torch.arange(places.shape[1]).expand_as(places),
            is_slot=torch.zeros_like(is_padding),
        )

    def _places(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Where the tokens of the candidates at ``index`` stand in one long row, (n, L), and which are padding."""
        lengths = self._lengths[index]
        offsets = torch.arange(int(lengths.max()))
        is_padding = offsets >= lengths[:, None]
        return (self._starts[index][:, None] + offsets).masked_fill(is_padding, 0), is_padding

    def _hidden_of(self, f_text: TextEncoder, text: TextBatch, index: Tensor) -> Tensor:
        """Kept hidden states of the candidates at ``index``, (n, L, Ct), zero where padded."""
        fingerprint = _fingerprint([p for p in f_text.parameters() if not p.requires_grad])
        if self._hidden is None or self._hidden.fingerprint != fingerprint:
            self._hidden = _KeptHidden(fingerprint, self._all_hidden(f_text))
        states = self._hidden.states
        places, _ = self._places(index)
        return states[places.to(states.device)].masked_fill(text.is_padding[..., None], 0.0)

    @torch.no_grad()
    def _all_hidden(self, f_text: TextEncoder) -> Tensor:
        device = next(f_text.parameters()).device
        order = self._lengths.argsort(stable=True)
        rows: list[Tensor] = []
        for chunk in self._chunks(order):
            text = self._text(chunk).to(device)
            with torch.autocast(device.type, enabled=False):  # kept for later, whatever the precision of this step
                hidden = f_text.hidden(text)
            rows += [hidden[i, ~text.is_padding[i]] for i in range(text.size)]
        return torch.cat([rows[place] for place in order.argsort().tolist()])


def _fingerprint(tensors: Iterable[Tensor | nn.Parameter]) -> Fingerprint:
    # Tensors made in inference mode have no version, and cannot change in place outside it.
    return tuple((id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
