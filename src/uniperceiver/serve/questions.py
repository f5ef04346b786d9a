"""A request as the model sees it, and how requests of a kind are asked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from torch import Tensor

from uniperceiver.data.images import decode_image
from uniperceiver.predictions import Embedding
from uniperceiver.predictor import EncodedPicture, Predictor

Verb = Literal[
    "classify", "detect", "caption", "match", "answer", "fill_mask", "embed_image", "embed_text", "classify_text"
]
Json = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One request: a verb and what it needs."""

    verb: Verb
    picture: bytes | None = None
    """An encoded file, checked to be of an acceptable size but not yet decoded."""
    video: Tensor | None = None
    """(V, T, 3, h, w) uint8, a video in the place of the picture, as the verb's task looks at it."""
    pixels: int = 0
    """Of the picture, or of all frames of the video."""
    texts: tuple[str, ...] = ()
    """What is said about this picture alone: the question to answer, the texts to fill in, to embed or to classify."""
    second: tuple[str, ...] = ()
    """Of pairs of texts, the second of each."""
    task: str | None = None
    """Which of several classifications of texts."""
    candidates: tuple[str, ...] | None = None
    """What is compared with: labels, answers, descriptions; None: what the model was trained with."""
    threshold: float = 0.0
    """Lowest score of a detected object."""
    masks: bool = True
    """Whether detected objects come with masks."""

    @property
    def shared(self) -> tuple[object, ...]:
        """Questions with the same are asked together."""
        return self.verb, self.candidates, self.threshold, self.picture is None, bool(self.second), self.task


def ask(predictor: Predictor, questions: Sequence[Question]) -> list[Json]:
    """The answers to questions that have the same `Question.shared`.

    Raises:
        ValueError: one of them cannot be answered (ImageError: its picture is broken).
    """
    first = questions[0]
    match first.verb:
        case "embed_text":
            return _embed_texts(predictor, questions)
        case "fill_mask":
            return _fill(predictor, questions)
        case "classify_text":
            return _classify_texts(predictor, questions)
        case "detect":
            return _detect(predictor, questions)
    pictures = _look(predictor, questions)
    match first.verb:
        case "classify":
            return [found.to_json() for found in predictor.classify(pictures, first.candidates)]
        case "caption":
            return [found.to_json() for found in predictor.caption(pictures)]
        case "match":
            return [found.to_json() for found in predictor.match(pictures, first.candidates or ())]
        case "answer":
            asked = [question.texts[0] for question in questions]
            return [found.to_json() for found in predictor.answer(pictures, asked, first.candidates)]
        case "embed_image":
            return [Embedding(vector).to_json() for vector in predictor.embed_image(pictures)]


def _look(predictor: Predictor, questions: Sequence[Question]) -> list[EncodedPicture | Tensor]:
    """The pictures, decoded, and the videos, which were before."""
    return [_picture(predictor, question) if question.video is None else question.video for question in questions]


def _picture(predictor: Predictor, question: Question) -> EncodedPicture:
    assert question.picture is not None
    (picture,) = predictor.look(decode_image(question.picture, "that was sent"))
    return picture


def _detect(predictor: Predictor, questions: Sequence[Question]) -> list[Json]:
    answers = []
    pictures = [_picture(predictor, question) for question in questions]
    found = predictor.detect(pictures, questions[0].candidates, questions[0].threshold)
    for question, picture, detection in zip(questions, pictures, found, strict=True):
        answer = detection.to_json()
        if not question.masks:
            for each in answer["objects"]:
                del each["segmentation"]
        height, width = picture.size
        answers.append({"height": height, "width": width} | answer)
    return answers


def _embed_texts(predictor: Predictor, questions: Sequence[Question]) -> list[Json]:
    different = list(dict.fromkeys(text for question in questions for text in question.texts))
    vectors = dict(zip(different, predictor.embed_text(different), strict=True))
    return [{"embeddings": [vectors[text].tolist() for text in question.texts]} for question in questions]


def _fill(predictor: Predictor, questions: Sequence[Question]) -> list[Json]:
    """With pictures: each question's picture once for each of its texts."""
    pictures = None
    if questions[0].picture is not None:
        looked = zip(_look(predictor, questions), questions, strict=True)
        pictures = [picture for picture, question in looked for _ in question.texts]
    filled = predictor.fill_mask([text for question in questions for text in question.texts], pictures)
    return _parted([{"slots": [slot.to_json() for slot in slots]} for slots in filled], questions)


def _classify_texts(predictor: Predictor, questions: Sequence[Question]) -> list[Json]:
    texts = [text for question in questions for text in question.texts]
    second = [text for question in questions for text in question.second]
    found = predictor.classify_text(texts, second or None, questions[0].candidates, questions[0].task)
    return _parted([each.to_json() for each in found], questions)


def _parted(answers: list[Json], questions: Sequence[Question]) -> list[Json]:
    """Answers to the texts of all questions, question by question."""
    ends = list(accumulate(len(question.texts) for question in questions))
    return [{"texts": answers[end - len(question.texts) : end]} for question, end in zip(questions, ends, strict=True)]
