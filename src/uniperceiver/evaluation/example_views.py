"""How each kind of prediction is shown beside what was annotated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from uniperceiver.data.records import CaptionedImage, LabelledImage, LabelledText, QuestionedImage, TextRecord
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.evaluation.detection_view import DetectionView
from uniperceiver.evaluation.examples import Example, counted, panel, picture_of
from uniperceiver.evaluation.vqa_accuracy import vqa_score
from uniperceiver.predictions import Answer, Caption, Classification, Detection, FilledMask
from uniperceiver.text_predictions import PredictedWords, TextClassification


class View(Protocol):
    """One prediction that may become an example."""

    @property
    def key(self) -> str:
        """Names the record; draws the lot."""
        ...

    @property
    def is_right(self) -> bool | None:
        """None where it is a matter of degree."""
        ...

    def example(self) -> Example:
        """The prediction as it is shown."""
        ...


def views_of(
    records: Sequence[Any], batch: Any, predictions: Sequence[Any], dataset: Any, tokenizer: Tokenizer
) -> Iterable[View]:
    """The views of a batch of predictions.

    Raises:
        TypeError: predictions of a type that has no view.
    """
    pairs = list(zip(records, predictions, strict=True))
    match predictions[0]:
        case Classification():
            return [ClassificationView(record, prediction, dataset.names) for record, prediction in pairs]
        case Detection():
            return [DetectionView(record, prediction, dataset.names) for record, prediction in pairs]
        case Caption():
            return [CaptionView(record, prediction) for record, prediction in pairs]
        case Answer():
            return [AnswerView(record, prediction) for record, prediction in pairs]
        case TextClassification():
            return [TextClassificationView(record, prediction, dataset.names) for record, prediction in pairs]
        case PredictedWords():
            return [NextWordsView(record, prediction) for record, prediction in pairs]
        case list():
            texts = (_with_numbers(batch, row, tokenizer) for row in range(len(pairs)))
            return [
                MaskedWordsView(text, filled, hidden)
                for text, filled, hidden in zip(texts, predictions, batch.references, strict=True)
            ]
        case other:
            raise TypeError(f"predictions of type {type(other).__name__} cannot be shown")


@dataclass(frozen=True)
class ClassificationView:
    """Three most likely classes."""

    record: LabelledImage
    prediction: Classification
    names: Sequence[str]

    @property
    def key(self) -> str:
        """Of the picture."""
        return self.record.image_id

    @property
    def is_right(self) -> bool:
        """The most likely class is the annotated one."""
        return int(self.prediction.labels[0]) == self.record.label

    def example(self) -> Example:
        """The picture, what was said and what is right."""
        truth = self.names[self.record.label]
        picture = panel(picture_of(self.record.image), f"Picture {self.record.image_id}, annotated as {truth}.")
        facts = (("said", _likely(self.prediction.names, self.prediction.probabilities)), ("annotated", truth))
        return Example(f"Picture {self.record.image_id}", self.is_right, facts, (picture,))


@dataclass(frozen=True)
class CaptionView:
    """A caption beside those of people."""

    record: CaptionedImage
    prediction: Caption

    @property
    def key(self) -> str:
        """Of the picture."""
        return self.record.image_id

    @property
    def is_right(self) -> None:
        """A caption is neither."""
        return None

    def example(self) -> Example:
        """The picture and the captions."""
        picture = panel(picture_of(self.record.image), f"People say: {self.record.captions[0]}")
        people = tuple(("people", caption) for caption in self.record.captions[:5])
        return Example(
            f"Picture {self.record.image_id}",
            None,
            (("model", self.prediction.text or "(nothing)"), *people),
            (picture,),
        )


@dataclass(frozen=True)
class AnswerView:
    """Three most likely answers beside those of people."""

    record: QuestionedImage
    prediction: Answer

    @property
    def key(self) -> str:
        """Of the picture and the question."""
        return f"{self.record.image_id} {self.record.question}"

    @property
    def is_right(self) -> bool | None:
        """At least half of the VQA accuracy; None where people's answers are not known."""
        known = self.record.answers
        return vqa_score(self.prediction.answers[0], known) >= 0.5 if known else None

    def example(self) -> Example:
        """The picture, the question and the answers."""
        picture = panel(picture_of(self.record.image), f"Picture {self.record.image_id}, which the question is about.")
        facts = (
            ("question", self.record.question),
            ("answered", _likely(self.prediction.answers, self.prediction.probabilities)),
            ("people", counted(self.record.answers)),
        )
        return Example(f"Picture {self.record.image_id}", self.is_right, facts, (picture,))


@dataclass(frozen=True)
class TextClassificationView:
    """Three most likely classes of a text, or of two."""

    record: LabelledText
    prediction: TextClassification
    names: Sequence[str]

    @property
    def key(self) -> str:
        """Of the text."""
        return f"{self.record.text_id} {self.record.text}"

    @property
    def is_right(self) -> bool | None:
        """The most likely class is the annotated one; None for graded data."""
        if self.record.label % 1:
            return None
        return int(self.prediction.probabilities.argmax()) == self.record.label

    def example(self) -> Example:
        """The texts, what was said and what is right."""
        order = np.argsort(-self.prediction.probabilities, kind="stable")
        said = _likely([self.names[i] for i in order], self.prediction.probabilities[order])
        truth = self.names[int(self.record.label)] if self.is_right is not None else f"{self.record.label:.2f}"
        second = () if self.record.second is None else (("with", self.record.second),)
        facts = (("read", self.record.text), *second, ("said", said), ("annotated", truth))
        return Example(f"Text {self.record.text_id}", self.is_right, facts)


@dataclass(frozen=True)
class MaskedWordsView:
    """Hidden words of a text and what was put there."""

    text: str
    """With numbers in brackets for the hidden tokens."""
    filled: Sequence[FilledMask]
    hidden: Sequence[str]

    @property
    def key(self) -> str:
        """The text."""
        return self.text

    @property
    def is_right(self) -> bool:
        """Every hidden token was found."""
        return all(words.words[0] == truth for words, truth in zip(self.filled, self.hidden, strict=True))

    def example(self) -> Example:
        """The text and, for every number, what was said and what was hidden."""
        said = tuple(
            (f"[{number}]", f"{_likely(words.words, words.probabilities)}; hidden: {truth}")
            for number, (words, truth) in enumerate(zip(self.filled, self.hidden, strict=True), start=1)
        )
        return Example("Text", self.is_right, (("read", self.text), *said))


@dataclass(frozen=True)
class NextWordsView:
    """The words of a text, each with what was expected in its place."""

    record: TextRecord | CaptionedImage
    prediction: PredictedWords

    @property
    def key(self) -> str:
        """Of the picture, or else the text."""
        if isinstance(self.record, CaptionedImage):
            return f"{self.record.image_id} {' '.join(self.prediction.words)}"
        return self.record.text

    @property
    def is_right(self) -> None:
        """A likelihood is a matter of degree."""
        return None

    def example(self) -> Example:
        """Every word, how likely it was, and the most likely one where it was another."""
        chances = np.exp(self.prediction.log_probabilities).tolist()
        facts = tuple(
            (
                word or "(end)",
                f"{100 * chance:.0f} %" + ("" if guesses[0] == word else f", not {guesses[0] or '(end)'}"),
            )
            for word, chance, guesses in zip(self.prediction.words, chances, self.prediction.guesses, strict=True)
        )
        if isinstance(self.record, TextRecord):
            return Example("Text", None, facts)
        picture = panel(picture_of(self.record.image), f"Picture {self.record.image_id}, which the text is about.")
        return Example(f"Picture {self.record.image_id}", None, facts, (picture,))


def _with_numbers(batch: Any, row: int, tokenizer: Tokenizer) -> str:
    """A masked text in which hidden tokens are ``[1]``, or ``[1: word]`` where the model saw a word there."""
    parts: list[str] = []
    words: list[int] = []
    number = 0
    is_text = ~batch.text.is_padding[row]
    for token, is_read in zip(batch.text.ids[row][is_text].tolist(), batch.is_read[row][is_text].tolist(), strict=True):
        if not is_read:
            words.append(token)
            continue
        number += 1
        seen = "" if token == tokenizer.slot_id else f": {tokenizer.decode([token])}"
        parts += [tokenizer.decode(words), f"[{number}{seen}]"]
        words = []
    return " ".join(part for part in [*parts, tokenizer.decode(words)] if part)


def _likely(names: Sequence[str], probabilities: np.ndarray) -> str:
    """The first three with their probabilities."""
    listed = zip(names[:3], probabilities[:3].tolist(), strict=True)
    return ", ".join(f"{name} ({100 * probability:.0f} %)" for name, probability in listed)
