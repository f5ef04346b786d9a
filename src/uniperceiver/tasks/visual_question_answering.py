"""Visual question answering: <SPE> ‖ image ‖ question, slot against answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.data.records import QuestionedImage
from uniperceiver.distributed import mean_over_ranks
from uniperceiver.likelihood import log_likelihood, negative_log_likelihood
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Answer
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import AnsweredData, TaskSetting

LISTED = 10
"""Answers in a prediction, at most."""


@dataclass(frozen=True)
class QuestionBatch:
    """Pictures, a question about each, and what people answered."""

    images: ImageBatch
    text: TextBatch
    """(B, L): start, question, slot, end."""
    answers: Tensor
    """(P,) int64, candidate of each different answer to each question."""
    questions: Tensor
    """(P,) int64 in [0, B), the question that it answers."""
    weights: Tensor
    """(P,) float, the share of people who answered so, of those who gave a candidate: one in sum per question."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            images=self.images.to(device),
            text=self.text.to(device),
            answers=self.answers.to(device),
            questions=self.questions.to(device),
            weights=self.weights.to(device),
        )


class VisualQuestionAnsweringTask:
    """x = <SPE> ‖ image ‖ start, question, slot, end; represented at the slot; Y = the most frequent answers."""

    attributes = TaskAttributes(input_image=True, input_text=True)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        self.setting = setting
        self.candidates = candidates
        self._place = {answer: place for place, answer in enumerate(candidates.texts)}

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: AnsweredData) -> CandidateSet:
        """The ``answers`` most frequent answers; equally frequent ones in the order of the data."""
        counts = Counter(_plain(answer) for answers in dataset.answers() for answer in answers)
        return CandidateSet.from_texts([a for a, _ in counts.most_common(setting.config.answers)], setting.tokenizer)

    def collate(self, records: Sequence[QuestionedImage]) -> QuestionBatch:
        """Pictures padded to one size, and their questions; long ones lose their last words, never the slot."""
        tokenizer, backbone = self.setting.tokenizer, self.setting.backbone
        room = self.setting.config.max_tokens - len(tokenizer.framed([tokenizer.slot_id]))
        rows = tokenizer.encode_batch([r.question for r in records], room, special=False)
        # The question's own mask tokens are words to us: only the last one is the slot.
        ids = [tokenizer.framed([*row, tokenizer.slot_id]) for row in rows]
        text = TextBatch.from_ids(ids, tokenizer.padding_id)
        text.is_slot[torch.arange(len(ids)), torch.tensor([len(row) - 2 for row in ids])] = True
        pairs = [pair for index, record in enumerate(records) for pair in self._weighted(index, record.answers)]
        return QuestionBatch(
            images=ImageBatch.from_images([r.image for r in records], backbone.image_mean, backbone.image_std),
            text=text,
            answers=torch.tensor([place for place, _, _ in pairs], dtype=torch.int64),
            questions=torch.tensor([question for _, question, _ in pairs], dtype=torch.int64),
            weights=torch.tensor([weight for _, _, weight in pairs], dtype=torch.float32),
        )

    def _weighted(self, question: int, answers: Sequence[str]) -> list[tuple[int, int, float]]:
        """(candidate, question, weight) for every different answer that is a candidate."""
        counts = Counter(self._place[_plain(answer)] for answer in answers if _plain(answer) in self._place)
        return [(place, question, count / counts.total()) for place, count in counts.items()]

    def loss(self, model: UniPerceiver, batch: QuestionBatch) -> dict[str, Tensor]:
        """Eq. (7): its expectation over the people asked, mean over the questions that a candidate answers.

        Paper: silent on several answers to a question. v1 draws one by its soft score; this is the mean of such draws.
        """
        drawn = self.candidates.draw(batch.answers, self.setting.config.sampled_candidates)
        answers = self.candidates.encode(model, self.attributes, drawn.index)
        x = self._represent(model, batch, model.encode_image(batch.images))[batch.questions]
        losses = negative_log_likelihood(x, answers, model.temperature("downstream"), drawn.targets)
        # The weights of a question add up to one, so their sum is the number of questions; processes may differ in it.
        return {"answers": (losses * batch.weights).sum() / mean_over_ranks(batch.weights.sum()).clamp(min=1.0)}

    @torch.no_grad()
    def predict(self, model: UniPerceiver, batch: QuestionBatch, features: ImageFeatures | None = None) -> list[Answer]:
        """The most likely answers to every question, Eq. (5), at most `LISTED`."""
        answers = self.candidates.encode(model, self.attributes)
        x = self._represent(model, batch, features or model.encode_image(batch.images))
        probabilities = log_likelihood(x, answers, model.temperature("downstream")).double().exp()
        best = probabilities.topk(min(LISTED, len(self.candidates)), dim=1)
        return [
            Answer(tuple(self.candidates.texts[i] for i in index), probability)
            for index, probability in zip(best.indices.tolist(), best.values.cpu().numpy(), strict=True)
        ]

    def _represent(self, model: UniPerceiver, batch: QuestionBatch, features: ImageFeatures) -> Tensor:
        decoded = model.decode(features.segment, model.encode_text(batch.text), attributes=self.attributes)
        return decoded.segments[1][batch.text.is_slot]


def _plain(answer: str) -> str:
    return answer.strip().lower()
