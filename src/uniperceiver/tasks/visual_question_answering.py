"""Visual question answering: <SPE> ‖ image ‖ question, slot against answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.data.datasets.vqa import read_answers
from uniperceiver.data.records import AnsweredQuestion, QuestionedImage
from uniperceiver.distributed import mean_over_ranks
from uniperceiver.likelihood import log_likelihood, negative_log_likelihood
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Answer
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import AnsweredData, TaskSetting, seeded_generator

LISTED = 10
"""Answers in a prediction, at most."""
SCORE_OF_ONE = 0.3
"""Soft score of an answer that one person gave; twice it for two, and so on, at most 1 (v1's *_target.pkl)."""


@dataclass(frozen=True)
class QuestionBatch:
    """B pictures, R questions about them, and what people answered. The first B are the records' own, in order."""

    images: ImageBatch
    text: TextBatch
    """(R, L): start, question, slot, end."""
    pictures: Tensor
    """(R,) int64 in [0, B), the picture that each question is about."""
    answers: Tensor
    """(n,) int64, candidate of each different answer to each question."""
    questions: Tensor
    """(n,) int64 in [0, R), the question that it answers."""
    weights: Tensor
    """(n,) float32, the soft scores of a question's answers, divided by their sum."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            images=self.images.to(device),
            text=self.text.to(device),
            pictures=self.pictures.to(device),
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
        """Those of ``answer_file``, or the ``answers`` most frequent ones; equally frequent ones in the data's order.

        Raises:
            DatasetError: no file of answers, or a broken one.
            ValueError: no answer to any question is known.
        """
        if not any(dataset.answers()):
            raise ValueError(
                f"{dataset!r} has questions without answers, and they are what a model learns and chooses among: give "
                "the questions to train on their `annotations`"
            )
        if setting.config.answer_file is not None:
            given = read_answers(Path(setting.config.answer_file))
            return CandidateSet.from_texts(dict.fromkeys(map(_plain, given)), setting.tokenizer)
        counts = Counter(_plain(answer) for answers in dataset.answers() for answer in answers)
        return CandidateSet.from_texts([a for a, _ in counts.most_common(setting.config.answers)], setting.tokenizer)

    def collate(self, records: Sequence[QuestionedImage]) -> QuestionBatch:
        """Pictures padded to one size, the records' questions, and some of the others drawn from each."""
        backbone = self.setting.backbone
        asked = [(picture, AnsweredQuestion(r.question, r.answers)) for picture, r in enumerate(records)]
        asked += self._drawn(records)
        pairs = [pair for index, (_, asking) in enumerate(asked) for pair in self._weighted(index, asking.answers)]
        return QuestionBatch(
            images=ImageBatch.from_images([r.image for r in records], backbone.image_mean, backbone.image_std),
            text=self._text([asking.question for _, asking in asked]),
            pictures=torch.tensor([picture for picture, _ in asked]),
            answers=torch.tensor([place for place, _, _ in pairs], dtype=torch.int64),
            questions=torch.tensor([question for _, question, _ in pairs], dtype=torch.int64),
            weights=torch.tensor([weight for _, _, weight in pairs], dtype=torch.float32),
        )

    def _drawn(self, records: Sequence[QuestionedImage]) -> list[tuple[int, AnsweredQuestion]]:
        """(picture, another question about it), for each picture as many as ``questions_per_image`` leaves room for."""
        generator, number = seeded_generator(), self.setting.config.questions_per_image - 1
        return [
            (picture, asking)
            for picture, record in enumerate(records)
            for asking in generator.sample(record.others, min(number, len(record.others)))
        ]

    def _text(self, questions: Sequence[str]) -> TextBatch:
        """Start, question, slot, end; long questions lose their last words, never the slot."""
        tokenizer = self.setting.tokenizer
        room = self.setting.config.max_tokens - len(tokenizer.framed([tokenizer.slot_id]))
        rows = tokenizer.encode_batch(questions, room, special=False)
        # The question's own mask tokens are words to us: only the last one is the slot.
        ids = [tokenizer.framed([*row, tokenizer.slot_id]) for row in rows]
        text = TextBatch.from_ids(ids, tokenizer.padding_id)
        text.is_slot[torch.arange(len(ids)), torch.tensor([len(row) - 2 for row in ids])] = True
        return text

    def _weighted(self, question: int, answers: Sequence[str]) -> list[tuple[int, int, float]]:
        """(candidate, question, weight) for every different answer that is a candidate."""
        counts = Counter(self._place[_plain(answer)] for answer in answers if _plain(answer) in self._place)
        scores = {place: min(1.0, SCORE_OF_ONE * count) for place, count in counts.items()}
        return [(place, question, score / sum(scores.values())) for place, score in scores.items()]

    def loss(self, model: UniPerceiver, batch: QuestionBatch) -> dict[str, Tensor]:
        """Eq. (7): its expectation over the answers given, mean over the questions that a candidate answers.

        Paper: silent on several answers to a question. v1 draws one by its soft score; this is the mean of such draws.
        """
        drawn = self.candidates.draw(batch.answers, self.setting.config.sampled_candidates)
        answers = self.candidates.encode(model, self.attributes, drawn.index)
        image = model.encode_image(batch.images).segment.rows(batch.pictures)
        x = self._represent(model, image, batch.text)[batch.questions]
        losses = negative_log_likelihood(x, answers, model.temperature("downstream"), drawn.targets)
        # The weights of a question add up to one, so their sum is the number of questions; processes may differ in it.
        return {"answers": (losses * batch.weights).sum() / mean_over_ranks(batch.weights.sum()).clamp(min=1.0)}

    @torch.no_grad()
    def predict(self, model: UniPerceiver, batch: QuestionBatch, features: ImageFeatures | None = None) -> list[Answer]:
        """The most likely answers to every record's own question, Eq. (5), at most `LISTED`."""
        answers = self.candidates.encode(model, self.attributes)
        image = (features or model.encode_image(batch.images)).segment
        x = self._represent(model, image, batch.text.rows(torch.arange(batch.images.size)))
        probabilities = log_likelihood(x, answers, model.temperature("downstream")).double().exp()
        best = probabilities.topk(min(LISTED, len(self.candidates)), dim=1)
        return [
            Answer(tuple(self.candidates.texts[i] for i in index), probability)
            for index, probability in zip(best.indices.tolist(), best.values.cpu().numpy(), strict=True)
        ]

    def _represent(self, model: UniPerceiver, image: Segment, text: TextBatch) -> Tensor:
        decoded = model.decode(image, model.encode_text(text), attributes=self.attributes)
        return decoded.segments[1][text.is_slot]


def _plain(answer: str) -> str:
    return answer.strip().lower()
