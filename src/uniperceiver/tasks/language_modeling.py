"""Auto-regressive language modelling, with and without a picture: <SPE> ‖ (image ‖) words so far (‖ slot) against the
vocabulary.

With a picture this is what captioning trains; here every word of a given text is predicted, none is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import TemperatureGroup
from uniperceiver.data.records import CaptionedImage, TextRecord
from uniperceiver.distributed import mean_over_all
from uniperceiver.likelihood import log_likelihood, negative_log_likelihood
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.packed_text import packed, record_texts
from uniperceiver.tasks.similar_length import read_by_length
from uniperceiver.tasks.task import TaskSetting, TextData, seeded_generator
from uniperceiver.tasks.visual_input import pictures_of_texts
from uniperceiver.tasks.vocabulary import find_vocabulary, next_words, places_of_tokens
from uniperceiver.text_predictions import PredictedWords

LISTED = 5
"""Guesses for a word, at most."""


@dataclass(frozen=True)
class LanguageModelingBatch:
    """Texts, and the pictures that they are of."""

    images: ImageBatch | None
    """(B) pictures; None: the texts stand alone."""
    text: TextBatch
    """What `next_words` makes of the words and the end."""
    targets: Tensor
    """(B, L) int64, the candidate to be found at each of the last L tokens; -1 where there is none."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        images = None if self.images is None else self.images.to(device)
        return replace(self, images=images, text=self.text.to(device), targets=self.targets.to(device))


class LanguageModelingTask:
    """x = <SPE> ‖ (image ‖) words so far ‖ slot, represented at the slots; Y = vocabulary (Sec. 3.2 and App. B of v1).

    All slots of a text are fed at once: each sees the picture, the words before its own, and itself. Without
    `TaskConfig.slots` the words themselves are read out, as in captioning.
    """

    attributes = TaskAttributes(input_image=False, input_text=True)
    attributes_with_image = TaskAttributes(input_image=True, input_text=True)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        """``candidates`` is a vocabulary with the end token."""
        self.setting = setting
        self.candidates = candidates
        self._places = places_of_tokens(candidates, setting.tokenizer.vocabulary_size)

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: TextData) -> CandidateSet:
        """The vocabulary, restricted if the configuration says so, and the end token."""
        return find_vocabulary(setting, dataset, with_end=True)

    def collate(self, records: Sequence[TextRecord | CaptionedImage]) -> LanguageModelingBatch:
        """Texts without a start token, but with the end, which long ones keep when cut; of captions, one is drawn.

        Raises:
            ValueError: texts alone and texts with pictures together.
        """
        tokenizer, generator = self.setting.tokenizer, seeded_generator()
        images = pictures_of_texts(records, self.setting.backbone)
        room = self.setting.config.max_tokens - 1
        rows = [packed(record_texts(record, generator), tokenizer, room)[0] for record in records]
        ids = [[*row, tokenizer.end_id] for row in rows]
        text, targets = next_words(ids, self._places, tokenizer, self.setting.config.slots)
        return LanguageModelingBatch(images, text, targets)

    def loss(self, model: UniPerceiver, batch: LanguageModelingBatch) -> dict[str, Tensor]:
        """Eq. (7): the mean over all words and ends of the batch that are candidates."""
        is_target = batch.targets >= 0
        features = None if batch.images is None else model.encode_image(batch.images)
        attributes, group = self._stream(features)
        drawn = self.candidates.draw(batch.targets[is_target], self.setting.config.sampled_candidates)
        words = self.candidates.encode(model, attributes, drawn.index)
        x = self._represent(model, batch, features)[is_target]
        return {"words": mean_over_all(negative_log_likelihood(x, words, model.temperature(group), drawn.targets))}

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: LanguageModelingBatch, features: ImageFeatures | None = None
    ) -> list[PredictedWords]:
        """How likely each word of each text was, and the most likely ones, Eq. (6); only words that are candidates."""
        if features is None and batch.images is not None:
            features = model.encode_image(batch.images)
        attributes, group = self._stream(features)
        words = self.candidates.encode(model, attributes)
        is_target = batch.targets >= 0
        x = self._represent(model, batch, features)[is_target]
        logs = log_likelihood(x, words, model.temperature(group)).double()
        targets = batch.targets[is_target]
        own = logs.gather(1, targets[:, None]).squeeze(1)
        best = logs.topk(min(LISTED, len(self.candidates)), dim=1).indices
        counts = is_target.sum(dim=1).tolist()
        parts = zip(targets.split(counts), own.split(counts), best.split(counts), strict=True)
        return [
            PredictedWords(self._texts(t.tolist()), o.cpu().numpy(), tuple(self._texts(row) for row in b.tolist()))
            for t, o, b in parts
        ]

    def _stream(self, features: ImageFeatures | None) -> tuple[TaskAttributes, TemperatureGroup]:
        """Routing and temperature of texts alone, or of those with a picture, which are captioning's."""
        return (self.attributes, "text_caption") if features is None else (self.attributes_with_image, "caption")

    def _texts(self, places: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.candidates.texts[place] for place in places)

    def _represent(self, model: UniPerceiver, batch: LanguageModelingBatch, features: ImageFeatures | None) -> Tensor:
        """Read-outs of the last L tokens, (B, L, D)."""
        attributes, _ = self._stream(features)

        def read(rows: Tensor, text: TextBatch) -> Tensor:
            before = [] if features is None else [features.segment.rows(rows)]
            read_out = model.decode(*before, model.encode_text(text), attributes=attributes).segments[-1]
            return read_out[:, read_out.shape[1] // 2 :] if self.setting.config.slots else read_out

        return read_by_length(batch.text, read)
