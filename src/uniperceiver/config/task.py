"""Configuration of tasks: what a task needs to know besides its data."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Positive

TaskKind = Literal[
    "classification",
    "detection",
    "captioning",
    "retrieval",
    "masked_language_modeling",
    "visual_question_answering",
]


@dataclass(frozen=True, config=STRICT)
class ImageSizeConfig:
    """How a picture is brought to size."""

    train: Positive = 224
    """Training pictures are this many pixels square (classification and the like: random resized crop; detection: large
    scale jitter, then crop or pad)."""
    test: Positive = 224
    """Evaluation: square side, or the shorter side for detection."""
    test_longest: Positive = 1333
    """Detection in evaluation: bound of the longer side."""
    squeeze: bool = True
    """Evaluation, tasks with texts about pictures. True: the whole picture squeezed into the square; False: the shorter
    side resized to the square's, and the centre taken, as v1 does (spec/uni_perceiver_v1_moe.md, 7.5)."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Training. Random resized crop: range of the area kept. Detection: range of the large scale jitter."""
    flip: bool = True
    """Training: mirror half of the pictures. False where texts speak of left and right. Visual question answering never
    mirrors."""
    shorter_side: tuple[int, int] | None = None
    """Detection in training, instead of ``scale``: the shorter side drawn between these (200, 1800 in App. B)…"""
    longest: Positive = 2400
    """…with the longer side at most this."""


@dataclass(frozen=True, config=STRICT)
class TaskConfig:
    """What a task needs to know besides its data."""

    kind: TaskKind
    image: ImageSizeConfig = field(default_factory=ImageSizeConfig)
    max_tokens: Annotated[int, Field(ge=4)] = 50
    """Longest text, special tokens included; longer ones are cut (v1: 50 for captions, 128 for masked LM)."""
    sampled_candidates: Positive | None = None
    """Training only: compare with all targets of the batch and this many others, drawn anew each step. None: all."""
    vocabulary: str | None = None
    """Text file of words, one a line, that restricts Y when words are predicted. None: the whole vocabulary, or
    what ``vocabulary_from_data`` finds."""
    vocabulary_from_data: bool = False
    """True: Y is the tokens that occur in the stream's training texts."""
    gather_negatives: bool = True
    """Retrieval, training only: negatives are the pairs of all processes (Tab. 4, "Gather Feature"); False: of the own
    process alone."""
    answers: Positive = 3129
    """Visual question answering: Y is this many most frequent answers of the training data."""
    suppress_above: Annotated[float, Field(gt=0, le=1)] | None = None
    """Detection: of regions that overlap more than this (IoU), only the one of the highest objectness is given. None:
    all, as in the paper, where long training leaves no duplicates."""
    captions_per_image: Positive = 1
    """Captioning, training only: this many captions of a picture, drawn anew each time, share one look at it."""
    questions_per_image: Positive = 1
    """Visual question answering, training only: the question of a record and so many less one of the others about its
    picture, drawn anew each time, share one look at it."""
    beams: Positive = 2
    """Beam search width in captioning; 1 is greedy."""
    length_penalty: float = 0.0
    """Captioning: scores are divided by (words + 1) to this power."""
