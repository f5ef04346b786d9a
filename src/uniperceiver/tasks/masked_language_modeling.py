"""Masked language modelling, with and without a picture: <SPE> ‖ (image ‖) text with slots against the vocabulary."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.data.records import CaptionedImage, TextRecord
from uniperceiver.distributed import mean_over_all
from uniperceiver.likelihood import log_likelihood, negative_log_likelihood
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import FilledMask
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.packed_text import packed, record_texts
from uniperceiver.tasks.similar_length import read_by_length
from uniperceiver.tasks.task import PackedData, TaskSetting, TextData, seeded_generator
from uniperceiver.tasks.visual_input import pictures_of_texts
from uniperceiver.tasks.vocabulary import find_vocabulary, places_of_tokens

MASKED = 0.15
"""Probability that a word is chosen."""
AS_SLOT, AS_RANDOM = 0.8, 0.1
"""What becomes of a chosen word: slots, random words, or else itself."""
LISTED = 10
"""Words named for a slot, at most."""


@dataclass(frozen=True)
class MaskedTextBatch:
    """Texts with hidden words, and the pictures that they are of."""

    images: ImageBatch | None
    """(B) pictures; None: the texts stand alone."""
    text: TextBatch
    """(B, L)."""
    is_read: Tensor
    """(B, L) bool: the tokens at which a word is predicted: slots, and chosen words that do not look it."""
    targets: Tensor
    """(B, L) int64, the candidate that was there; -1 where nothing is read or what was there is no candidate."""
    references: tuple[tuple[str, ...], ...]
    """The hidden words of each text, one per token read, in order; none for a text that came with slots."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            images=None if self.images is None else self.images.to(device),
            text=self.text.to(device),
            is_read=self.is_read.to(device),
            targets=self.targets.to(device),
        )


@dataclass(frozen=True)
class _Masked:
    """One text with some of its words hidden."""

    ids: list[int]
    hidden: dict[int, int]
    """Place → the token that was there."""


class MaskedLanguageModelingTask:
    """x = <SPE> ‖ (image ‖) start, words with slots, end; represented at the slots; Y = vocabulary."""

    attributes = TaskAttributes(input_image=False, input_text=True)
    attributes_with_image = TaskAttributes(input_image=True, input_text=True)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        """``candidates`` is a vocabulary."""
        self.setting = setting
        self.candidates = candidates
        self._places = places_of_tokens(candidates, setting.tokenizer.vocabulary_size)

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: TextData) -> CandidateSet:
        """The vocabulary, restricted if the configuration says so; with the end token where texts are packed.

        For there, as in v1, ends are hidden like words.
        """
        is_packed = isinstance(dataset, PackedData) and dataset.is_packed
        return find_vocabulary(setting, dataset, with_end=is_packed)

    def collate(self, records: Sequence[TextRecord | CaptionedImage]) -> MaskedTextBatch:
        """Hide words of every text; of a picture with captions, one caption is taken.

        A text that has slots of its own, as in ``"a [MASK] car"``, is a question: nothing else of it is hidden.

        Raises:
            ValueError: texts alone and texts with pictures together.
        """
        generator = seeded_generator()
        masked = [self._mask(record, generator) for record in records]
        tokenizer = self.setting.tokenizer
        text = TextBatch.from_ids([m.ids for m in masked], tokenizer.padding_id, tokenizer.slot_id)
        is_read = text.is_slot.clone()
        targets = torch.full_like(text.ids, -1)
        for row, hidden in enumerate(m.hidden for m in masked):
            for place, original in hidden.items():
                is_read[row, place] = True
                targets[row, place] = self._places[original]
        images = pictures_of_texts(records, self.setting.backbone)
        references = tuple(tuple(tokenizer.decode([m.hidden[place]]) for place in sorted(m.hidden)) for m in masked)
        return MaskedTextBatch(images, text, is_read, targets, references)

    def _mask(self, record: TextRecord | CaptionedImage, generator: random.Random) -> _Masked:
        """Choose words with probability `MASKED`, at least one of a text; all tokens of a word share its fate."""
        tokenizer, longest = self.setting.tokenizer, self.setting.config.max_tokens
        texts = record_texts(record, generator)
        frame = len(tokenizer.framed([]))
        hides_ends = self._hides_ends(record)
        ids, words = packed(texts, tokenizer, longest - frame, hides_ends)
        ids = tokenizer.framed(ids)
        words = [[place + frame - 1 for place in word] for word in words]
        if hides_ends:
            words.append([len(ids) - 1])
        if tokenizer.slot_id in ids or not words:
            return _Masked(ids, {})
        chosen = [word for word in words if generator.random() < MASKED] or [generator.choice(words)]
        hidden = {place: ids[place] for word in chosen for place in word}
        for word in chosen:
            fate = generator.random()
            for place in word:
                if fate < AS_SLOT:
                    ids[place] = tokenizer.slot_id
                elif fate < AS_SLOT + AS_RANDOM:
                    ids[place] = generator.choice(self.candidates.token_ids)
        return _Masked(ids, hidden)

    def _hides_ends(self, record: TextRecord | CaptionedImage) -> bool:
        """Whether the ends of packed texts, the last one included, are words that may be hidden, as in v1."""
        is_packed = isinstance(record, TextRecord) and record.following is not None
        return is_packed and bool(self._places[self.setting.tokenizer.end_id] >= 0)

    def loss(self, model: UniPerceiver, batch: MaskedTextBatch) -> dict[str, Tensor]:
        """Eq. (7): the mean over the hidden tokens that are candidates; zero when there are none."""
        is_target = batch.targets >= 0
        drawn = self.candidates.draw(batch.targets[is_target], self.setting.config.sampled_candidates)
        features = None if batch.images is None else model.encode_image(batch.images)
        words = self.candidates.encode(model, self._attributes(features), drawn.index)
        x = self._represent(model, batch, features)[is_target]
        losses = negative_log_likelihood(x, words, model.temperature("text_mlm"), drawn.targets)
        return {"words": mean_over_all(losses)}

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: MaskedTextBatch, features: ImageFeatures | None = None
    ) -> list[list[FilledMask]]:
        """For each text, the most likely words of every token that is read, Eq. (5), at most `LISTED`.

        With pictures, in the batch or as ``features``, x is <SPE> ‖ image ‖ text, routed as such an input.
        """
        if features is None and batch.images is not None:
            features = model.encode_image(batch.images)
        words = self.candidates.encode(model, self._attributes(features))
        x = self._represent(model, batch, features)[batch.is_read]
        best = (
            log_likelihood(x, words, model.temperature("text_mlm")).double().exp().topk(min(LISTED, len(words)), dim=1)
        )
        filled = [
            FilledMask(tuple(self.candidates.texts[i] for i in index), probability)
            for index, probability in zip(best.indices.tolist(), best.values.cpu().numpy(), strict=True)
        ]
        counts = batch.is_read.sum(dim=1).tolist()
        ends = [sum(counts[: row + 1]) for row in range(len(counts))]
        return [filled[end - count : end] for end, count in zip(ends, counts, strict=True)]

    def _attributes(self, features: ImageFeatures | None) -> TaskAttributes:
        return self.attributes if features is None else self.attributes_with_image

    def _represent(self, model: UniPerceiver, batch: MaskedTextBatch, features: ImageFeatures | None) -> Tensor:
        def read(rows: Tensor, text: TextBatch) -> Tensor:
            before = [] if features is None else [features.segment.rows(rows)]
            decoded = model.decode(*before, model.encode_text(text), attributes=self._attributes(features))
            return decoded.segments[-1]

        return read_by_length(batch.text, read)
