"""Configuration of tasks: what a task needs to know besides its data."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Fraction, Positive

TaskKind = Literal[
    "classification",
    "detection",
    "captioning",
    "retrieval",
    "masked_language_modeling",
    "visual_question_answering",
    "language_modeling",
    "text_classification",
]

_AUGMENTED: frozenset[TaskKind] = frozenset({"classification"})
_WRITTEN: frozenset[TaskKind] = frozenset({"captioning", "language_modeling"})
_ASKED: frozenset[TaskKind] = frozenset({"visual_question_answering"})
_SMOOTHED: frozenset[TaskKind] = frozenset({"classification", "text_classification", "retrieval", "captioning"})


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
    crops: Literal[1, 3] = 1
    """Evaluation of videos, which are never squeezed: squares along the longer side, the centre alone or three (v1)."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Training. Random resized crop: range of the area kept. Detection: range of the large scale jitter."""
    flip: bool = True
    """Training: mirror half of the pictures. False where texts speak of left and right. Visual question answering does
    not mirror but with ``swap_sides``."""
    swap_sides: bool = False
    """Training, visual question answering: mirror half of the pictures and swap the words left and right in what is
    asked and answered about them (v1)."""
    shorter_side: tuple[int, int] | None = None
    """Training, instead of ``scale``: the shorter side drawn between these (detection: 200, 1800 in App. B), then a
    random square of ``train`` pixels."""
    longest: Positive = 2400
    """Detection: with ``shorter_side``, the longer side is at most this."""
    rand_augment: Annotated[int, Field(ge=0, le=10)] | None = None
    """Training, pictures of classification: two random changes of each (RandAugment), this many tenths of the strongest
    ones. None: no such changes."""

    def __post_init__(self) -> None:
        """The shorter side is a range."""
        if self.shorter_side is not None and not 0 < self.shorter_side[0] <= self.shorter_side[1]:
            raise ValueError(f"image.shorter_side {self.shorter_side}: expected the smallest and the largest")


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
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Classification, retrieval and captioning, training only: this part of the probability is spread over all of Y."""
    random_erasing: Fraction = 0.0
    """Classification, training only: probability that a rectangle of a picture becomes noise."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Classification, training only: α of mixup; 0: none. With ``cutmix`` as well, one is drawn for each batch."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Classification, training only: α of cutmix; 0: none."""
    gather_negatives: bool = True
    """Retrieval, training only: negatives are the pairs of all processes (Tab. 4, "Gather Feature"); False: of the own
    process alone."""
    answers: Positive = 3129
    """Visual question answering: Y is this many most frequent answers of the training data."""
    answer_file: str | None = None
    """Visual question answering: text file of answers, one a line, that are Y instead. None: the most frequent."""
    template: str = "{first} {end} it is {slot} ."
    """Text classification: how the texts of a record become one, with ``{first}``, ``{second}``, ``{slot}``, where the
    word of the class is predicted, and ``{end}``, the end token; or the name of a GLUE task, for v1's template and
    words (cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, wnli)."""
    label_words: dict[str, str] | None = None
    """Text classification: class name → the word that stands for it. None: GLUE's, or else the names themselves."""
    suppress_above: Annotated[float, Field(gt=0, le=1)] | None = None
    """Detection: of regions that overlap more than this (IoU), only the one of the highest objectness is given. None:
    all, as in the paper, where long training leaves no duplicates."""
    mask_margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Detection: masks end at their boxes, grown on every side by this part of their width or height. None: wherever
    they end, as in the paper, where long training leaves nothing outside."""
    captions_per_image: Positive = 1
    """Captioning, training only: this many captions of a picture, drawn anew each time, share one look at it."""
    questions_per_image: Positive = 1
    """Visual question answering, training only: the question of a record and so many less one of the others about its
    picture, drawn anew each time, share one look at it."""
    slots: bool = True
    """Captioning and language modelling. True: a slot stands for every word that is to be predicted, as in v1. False: a
    word is predicted at the word before it, as language models do, which halves the tokens."""
    beams: Positive = 2
    """Beam search width in captioning; 1 is greedy."""
    length_penalty: float = 0.0
    """Captioning: scores are divided by (words + 1) to this power."""
    no_repeat_ngram_size: Positive | None = None
    """Captioning: no run of so many tokens is said twice in a sentence. None: as v1, whatever is likely is said."""
    repetition_penalty: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """Captioning: the log-probability of a token that the sentence already has is multiplied by this. 1: as v1."""

    def __post_init__(self) -> None:
        """What a task does not do is not to be asked of it."""
        augments = self.random_erasing or self.mixup or self.cutmix or self.image.rand_augment is not None
        if augments and self.kind not in _AUGMENTED:
            raise ValueError(
                "random_erasing, mixup, cutmix and image.rand_augment are for classification of pictures and clips, "
                f"not for {self.kind}: remove them"
            )
        if not self.slots and self.kind not in _WRITTEN:
            known = ", ".join(sorted(_WRITTEN))
            raise ValueError(f"slots: false is for {known}, not for {self.kind}: remove it")
        if (self.answer_file is not None or self.image.swap_sides) and self.kind not in _ASKED:
            raise ValueError(
                f"answer_file and image.swap_sides are for visual question answering, not for {self.kind}: remove them"
            )
        if self.label_smoothing and self.kind not in _SMOOTHED:
            known = ", ".join(sorted(_SMOOTHED))
            raise ValueError(f"label_smoothing is for {known}, not for {self.kind}: remove it")
