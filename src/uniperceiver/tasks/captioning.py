"""Image captioning: <SPE> ‖ image ‖ words so far (‖ slot) against the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch, VideoBatch
from uniperceiver.data.records import CaptionedImage, CaptionedVideo
from uniperceiver.distributed import mean_over_all
from uniperceiver.likelihood import log_likelihood_of_units, negative_log_likelihood, unit_vectors
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Caption
from uniperceiver.tasks.beam_search import beam_search
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.similar_length import read_by_length
from uniperceiver.tasks.task import TaskSetting, TextData, seeded_generator
from uniperceiver.tasks.visual_input import encode_visual, visual_batch
from uniperceiver.tasks.vocabulary import find_vocabulary, next_words, places_of_tokens


@dataclass(frozen=True)
class CaptioningBatch:
    """Pictures, or videos, and R captions of them."""

    images: ImageBatch | VideoBatch
    text: TextBatch
    """What `next_words` makes of the words and the end."""
    targets: Tensor
    """(R, L) int64, the candidate to be found at each of the last L tokens; -1 where there is none."""
    pictures: Tensor
    """(R,) int64 in [0, B), the picture that each caption is of."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            images=self.images.to(device),
            text=self.text.to(device),
            targets=self.targets.to(device),
            pictures=self.pictures.to(device),
        )


class CaptioningTask:
    """x = <SPE> ‖ image ‖ words so far ‖ slot, represented at the slot; Y = vocabulary.

    In training all slots of a caption are fed at once; a step of decoding feeds the last word and the next slot. Both
    give the same representations (spec/uni_perceiver_v1_moe.md, section 4). Without `TaskConfig.slots` x ends with the
    last word and is represented there; before the first word that is the slot token.
    """

    attributes = TaskAttributes(input_image=True, input_text=True)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        """``candidates`` is a vocabulary with the end token."""
        self.setting = setting
        self.candidates = candidates
        self._places = places_of_tokens(candidates, setting.tokenizer.vocabulary_size)
        self._end = int(self._places[setting.tokenizer.end_id])
        if self._end < 0:
            raise ValueError(
                "the vocabulary of captioning lacks the tokenizer's end token, so no sentence could end: add it"
            )

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: TextData) -> CandidateSet:
        """The vocabulary, restricted if the configuration says so, and the end token."""
        return find_vocabulary(setting, dataset, with_end=True)

    def collate(self, records: Sequence[CaptionedImage | CaptionedVideo]) -> CaptioningBatch:
        """Captions drawn for every picture. They have no start token, but the end, which long ones keep when cut.

        Raises:
            ValueError: videos for a model that reads single pictures, or with several views: a caption is of one.
        """
        tokenizer, backbone, config = self.setting.tokenizer, self.setting.backbone, self.setting.config
        generator = seeded_generator()
        drawn = [
            (picture, caption)
            for picture, record in enumerate(records)
            for caption in generator.sample(record.captions, min(config.captions_per_image, len(record.captions)))
        ]
        rows = tokenizer.encode_batch([caption for _, caption in drawn], config.max_tokens - 1, special=False)
        ids = [[*row, tokenizer.end_id] for row in rows]
        text, targets = next_words(ids, self._places, tokenizer, config.slots)
        images = visual_batch(records, backbone)
        if isinstance(images, VideoBatch) and images.views > 1:
            raise ValueError(f"a caption is of one view of a video, got {images.views}: set clips and crops to 1")
        return CaptioningBatch(
            images=images,
            text=text,
            targets=targets,
            pictures=torch.tensor([picture for picture, _ in drawn]),
        )

    def loss(self, model: UniPerceiver, batch: CaptioningBatch) -> dict[str, Tensor]:
        """Eq. (7): the mean over all words and ends of the batch that are candidates."""
        is_target = batch.targets >= 0
        image = encode_visual(model, batch.images).segment
        seen = model.prefill(image, attributes=self.attributes)

        def read(rows: Tensor, text: TextBatch) -> Tensor:
            read_out = model.g.follow(model.encode_text(text), self.attributes, seen.kept(batch.pictures[rows]))
            return read_out[:, read_out.shape[1] // 2 :] if self.setting.config.slots else read_out

        x = read_by_length(batch.text, read)[is_target]
        drawn = self.candidates.draw(batch.targets[is_target], self.setting.config.sampled_candidates)
        words = self.candidates.encode(model, self.attributes, drawn.index)
        smoothing, temperature = self.setting.config.label_smoothing, model.temperature("caption")
        losses = negative_log_likelihood(x, words, temperature, drawn.targets, smoothing)
        return {"words": mean_over_all(losses)}

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: CaptioningBatch, features: ImageFeatures | None = None
    ) -> list[Caption]:
        """The best sentence of each picture by beam search; of the batch, only the pictures are looked at."""
        config, tokenizer = self.setting.config, self.setting.tokenizer
        found = beam_search(
            _NextWord(self, model, features or encode_visual(model, batch.images)),
            pictures=batch.images.size,
            beams=config.beams,
            end=self._end,
            max_words=config.max_tokens,
            length_penalty=config.length_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            repetition_penalty=config.repetition_penalty,
            device=batch.images.pixels.device,
        )
        ids = [[self.candidates.token_ids[word] for word in sentence.words] for sentence in found]
        return [
            Caption(tokenizer.decode(row), sentence.log_probability) for row, sentence in zip(ids, found, strict=True)
        ]


class _NextWord:
    """Predicts the next word with what was seen kept as keys and values, in f_text and in g."""

    def __init__(self, task: CaptioningTask, model: UniPerceiver, features: ImageFeatures) -> None:
        self.task = task
        self.model = model
        device = features.segment.tokens.device
        self.tokens = torch.tensor(task.candidates.token_ids, device=device)
        self.vocabulary = unit_vectors(task.candidates.encode(model, task.attributes))
        self.text_cache = KeyValues()
        self.decoder_cache = model.prefill(features.segment, attributes=task.attributes)
        self.length = 0

    def __call__(self, words: Tensor | None, parents: Tensor) -> Tensor:
        """One pass over [last word, next slot], or the last word; at first over the slot token alone."""
        if words is not None:
            self.text_cache = self.text_cache.kept(parents)
            self.decoder_cache = self.decoder_cache.kept(parents)
        segment, self.text_cache = self.model.f_text.step(self._new_tokens(words, parents), self.text_cache)
        decoded, self.decoder_cache = self.model.g.step(segment, self.task.attributes, self.decoder_cache)
        self.length += 1
        return log_likelihood_of_units(decoded[:, -1], self.vocabulary, self.model.temperature("caption"))

    def _new_tokens(self, words: Tensor | None, parents: Tensor) -> TextBatch:
        columns = [] if words is None else [self.tokens[words]]
        has_slots = self.task.setting.config.slots
        if has_slots or words is None:
            columns.append(torch.full_like(parents, self.task.setting.tokenizer.slot_id))
        ids = torch.stack(columns, dim=1)
        positions = torch.arange(self.length + 1 - len(columns), self.length + 1, device=ids.device)
        is_slot = torch.zeros_like(ids, dtype=torch.bool)
        is_slot[:, -1] = has_slots
        return TextBatch(ids, torch.zeros_like(is_slot), positions.expand_as(ids), is_slot, causal=True)
