"""Scorers of sentences and answers: what evaluation keeps of them, and the metrics it computes at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from uniperceiver.data.datasets.scenes import SceneCaptions, SceneMotionCaptions
from uniperceiver.data.records import CaptionedImage, CaptionedVideo, QuestionedImage
from uniperceiver.evaluation.accuracy import most_frequent
from uniperceiver.evaluation.caption_scores import caption_scores, central_caption
from uniperceiver.evaluation.object_names import NameFinder, best_constant_names, name_scores
from uniperceiver.evaluation.scoring import EvaluationResult, Looked
from uniperceiver.evaluation.vqa_accuracy import normalise_answer, question_family, vqa_accuracy
from uniperceiver.predictions import Answer, Caption


class CaptionScorer:
    """BLEU, ROUGE-L and CIDEr-D; where it is known what the pictures show, also whether captions name it."""

    def __init__(
        self, training: Iterable[str] | None, scenes: SceneCaptions | SceneMotionCaptions | None = None
    ) -> None:
        """Start empty.

        Args:
            training: captions from which the trivial caption is taken; None: the references.
            scenes: the evaluated data where they are scenes, whose objects are known; None: they are not.
        """
        self.training = training
        self.scenes = scenes
        self.looked = Looked()
        self.captions: list[str] = []
        self.references: list[tuple[str, ...]] = []
        self.shown: list[frozenset[str]] = []

    def add(
        self, records: Sequence[CaptionedImage | CaptionedVideo], batch: Any, predictions: Sequence[Caption]
    ) -> None:
        """Keep the texts, and what the scenes show."""
        self.looked.at(records)
        self.captions += [prediction.text for prediction in predictions]
        self.references += [record.captions for record in records]
        if self.scenes is not None:
            self.shown += [self.scenes.shown_names(record) for record in records]

    def result(self) -> EvaluationResult:
        """All scores; the baseline says one caption of every image."""
        every = [caption for row in self.references for caption in row] if self.training is None else self.training
        constant = central_caption(list(every))
        metrics = caption_scores(self.captions, self.references).named()
        baselines = caption_scores([constant] * len(self.references), self.references).named()
        protocol = (
            "pycocoevalcap's BLEU, ROUGE-L and CIDEr-D (the one reported as CIDEr), document frequencies from the "
            f"references of these {self.looked.unit}. Baseline: {constant!r} for every one."
        )
        if self.scenes is not None:
            finder = NameFinder(self.scenes.names)
            metrics |= name_scores([finder.names_in(caption) for caption in self.captions], self.shown)
            baselines |= name_scores([best_constant_names(self.shown)] * len(self.shown), self.shown)
            protocol += (
                " name_f1, name_precision, name_recall: object names in the caption against those of the scene, each "
                "name once per scene, counted over all scenes; name_exact: scenes whose names are all there and no "
                "others. Their baseline: the same names for every scene, those that give the best F1."
            )
        return EvaluationResult(metrics, baselines, "cider_d", len(self.captions), self.looked.unit, protocol)


class AnswerScorer:
    """VQA accuracy, overall and by type of answer, or where nobody says that by family of questions."""

    def __init__(self) -> None:
        self.families: list[str] = []
        self.answers: list[str] = []
        self.references: list[tuple[str, ...]] = []
        self.types: list[str | None] = []
        self.predictions: list[dict[str, object]] = []

    def add(self, records: Sequence[QuestionedImage], batch: Any, predictions: Sequence[Answer]) -> None:
        """Keep the most likely answer, and of questions whose answers are known these, their family and type."""
        for record, prediction in zip(records, predictions, strict=True):
            answer = prediction.answers[0]
            if record.question_id is not None:
                self.predictions.append({"question_id": record.question_id, "answer": answer})
            if record.answers:
                self.families.append(question_family(record.question))
                self.answers.append(answer)
                self.references.append(record.answers)
                self.types.append(record.answer_type)

    def result(self) -> EvaluationResult:
        """Accuracies; the baseline reads the question's first words and gives one answer to all of a family."""
        if not self.answers:
            nothing = {"accuracy": math.nan}
            number, protocol = len(self.predictions), "No answers of people are known: nothing to compare with."
            return EvaluationResult(
                nothing, nothing, "accuracy", number, "questions", protocol, predictions=self.predictions
            )
        families = sorted(set(self.families))
        constants = {family: self._constant(family) for family in families}
        listed = ", ".join(f"{family} … {constants[family]!r}" for family in families)
        types = [kind.replace("/", "_") for kind in self.types if kind is not None]
        has_types = len(types) == len(self.answers)
        groups = types if has_types else [family.replace(" ", "_") for family in self.families]
        which = "with answers of this type" if has_types else "that begin so"
        return EvaluationResult(
            metrics=self._accuracies(self.answers, groups),
            baselines=self._accuracies([constants[family] for family in self.families], groups),
            main="accuracy",
            count=len(self.answers),
            unit="questions",
            protocol="Official VQA accuracy: min(1, agreeing people / 3), averaged over leaving out each person; "
            f"accuracy_… of the questions {which}. Baseline: for each beginning the most frequent answer of the "
            f"evaluated questions ({listed}), which no constant answer can much exceed.",
            predictions=self.predictions,
        )

    def _constant(self, family: str) -> str:
        answers = [normalise_answer(answer) for row in _of(family, self.references, self.families) for answer in row]
        return str(most_frequent(answers, 1)[0])

    def _accuracies(self, answers: Sequence[str], groups: Sequence[str]) -> dict[str, float]:
        """``groups`` has the group of each question."""
        return {"accuracy": vqa_accuracy(answers, self.references)} | {
            f"accuracy_{group}": vqa_accuracy(_of(group, answers, groups), _of(group, self.references, groups))
            for group in sorted(set(groups))
        }


def _of(group: str, values: Sequence[Any], groups: Sequence[str]) -> list[Any]:
    """Those of ``values``, one per question, that belong to the group."""
    return [value for value, other in zip(values, groups, strict=True) if other == group]
