"""Pictures brought to size, for training and for evaluation; boxes and masks follow.

Randomness is drawn from torch's default generator, which `loading` seeds for every record. Pictures stay uint8:
`ImageBatch.from_images` normalises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import Compose, RandAugment, RandomResizedCrop, Resize
from torchvision.transforms.v2 import RandomCrop as RandomSquare
from torchvision.transforms.v2 import functional as F

from uniperceiver.config import ImageSizeConfig, TaskKind
from uniperceiver.data.detection_transforms import (
    DetectionCrop,
    DetectionResize,
    LargeScaleJitter,
    RandomShorterSide,
    Resizing,
)
from uniperceiver.data.records import (
    AnsweredQuestion,
    CaptionedImage,
    LabelledImage,
    LabelledText,
    PairedText,
    QuestionedImage,
    Record,
    TextRecord,
    Video,
)
from uniperceiver.data.sides import with_sides_swapped
from uniperceiver.data.video_transforms import jittered_crop, uniform_crops

Transform = Callable[[Record], Record]
Picture = LabelledImage | CaptionedImage | QuestionedImage

_GREY = [124, 116, 104]
"""ImageNet's mean colour, of 255, where a picture is turned or shifted out of its square."""
RESIZE_FOR_CROP = 256 / 224
"""Evaluation resizes to this many times the crop's side, then crops the centre (v1: spec, section 7.5)."""


def train_transform(kind: TaskKind, size: ImageSizeConfig) -> Transform:
    """What a task's training pictures go through.

    Paper: "similar to Uni-Perceiver" (App. B), which augments every data set differently. Here all tasks but detection
    have one random crop, and a flip unless they ask about sides; colours change with ``rand_augment`` alone, v1's.
    """
    crop = RandomCrop(size.train, size.scale, size.flip, size.shorter_side)
    transforms: dict[TaskKind, Transform] = {
        "classification": ChangedAtRandom(crop, size.rand_augment),
        "captioning": crop,
        "retrieval": PicturesAlone(crop),
        "visual_question_answering": MirroredQuestions(replace(crop, flip=False), size.swap_sides),
        "detection": DetectionCrop(size.train, _detection_resizing(size), size.flip),
        "masked_language_modeling": PicturesAlone(crop),
        "text_classification": unchanged,
        "language_modeling": PicturesAlone(crop),
    }
    return transforms[kind]


def test_transform(kind: TaskKind, size: ImageSizeConfig) -> Transform:
    """What a task's pictures go through in evaluation and inference; nothing in it is random."""
    described = SquareResize(size.test, size.crops) if size.squeeze else CentreCrop(size.test, 1.0, size.crops)
    transforms: dict[TaskKind, Transform] = {
        "classification": CentreCrop(size.test, crops=size.crops),
        "captioning": described,
        "retrieval": described,  # the very transform of captioning, so that a predictor encodes a picture once for both
        "visual_question_answering": described,
        "detection": DetectionResize(size.test, size.test_longest),
        "masked_language_modeling": PicturesAlone(described),
        "text_classification": unchanged,
        "language_modeling": PicturesAlone(described),
    }
    return transforms[kind]


def _detection_resizing(size: ImageSizeConfig) -> Resizing:
    if size.shorter_side is not None:
        return RandomShorterSide(size.shorter_side, size.longest)
    return LargeScaleJitter(size.train, size.scale)


def unchanged(record: Record) -> Record:
    """Texts are not transformed.

    Raises:
        TypeError: the record is not a text.
    """
    if not isinstance(record, TextRecord | LabelledText):
        raise TypeError(f"this task reads texts (plain_text data and the like), got a {type(record).__name__}")
    return record


@dataclass(frozen=True)
class PicturesAlone:
    """Pictures are transformed, texts left as they are."""

    of_pictures: Transform

    def __call__(self, record: Record) -> Record:
        """The record, its picture transformed if it has one."""
        return record if isinstance(record, TextRecord | PairedText) else self.of_pictures(record)


# --- one picture, one label or text -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RandomCrop:
    """Random resized crop to a square, bicubic, aspect ratio within 3:4 and 4:3, then perhaps a horizontal flip.

    With ``shorter_side`` the picture keeps its aspect ratio: that side is drawn from the range, then the square.
    """

    side: int
    scale: tuple[float, float]
    """Range of the part of the area that is kept."""
    flip: bool
    shorter_side: tuple[int, int] | None = None

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture; of a video, with frames of that size (`jittered_crop`)."""
        if isinstance(record, Video):
            return replace(record, frames=jittered_crop(record.frames, self.side, self.flip))
        picture = _picture(record)
        return replace(picture, image=self._cropped(picture.image))

    def _cropped(self, pixels: Tensor) -> Tensor:
        cropped: Tensor = self._crop()(pixels)
        return F.horizontal_flip(cropped) if self.flip and torch.rand(()) < 0.5 else cropped

    def _crop(self) -> Callable[[Tensor], Tensor]:
        if self.shorter_side is None:
            return RandomResizedCrop(
                self.side, scale=self.scale, interpolation=InterpolationMode.BICUBIC, antialias=True
            )
        smallest, largest = self.shorter_side
        drawn = int(torch.randint(smallest, largest + 1, ()))
        resize = Resize([drawn], interpolation=InterpolationMode.BICUBIC, antialias=True)
        return Compose([resize, RandomSquare(self.side, pad_if_needed=True)])


@dataclass(frozen=True)
class ChangedAtRandom:
    """A crop, and for pictures RandAugment (arXiv:1909.13719): two of 14 changes, drawn anew for every picture.

    ``magnitude`` counts tenths of the strongest changes, as timm's ``m9`` does. Paper: the changes are DeiT's, timm's,
    which vary the magnitude a little and leave half of the changes out; torchvision's do neither.
    """

    crop: Transform
    magnitude: int | None
    """None: the crop alone."""

    def __call__(self, record: Record) -> Record:
        """The record with a changed picture; videos are only cropped."""
        cropped = self.crop(record)
        if self.magnitude is None or not isinstance(cropped, LabelledImage):
            return cropped
        change = RandAugment(2, self.magnitude, 11, InterpolationMode.BILINEAR, fill=_GREY)
        return replace(cropped, image=change(cropped.image))


@dataclass(frozen=True)
class MirroredQuestions:
    """A crop, and with ``swap_sides`` half of the pictures mirrored, left and right swapped in the texts about them.

    As v1 means to do: its code swaps the answers "left" and "right", but in questions the token of "left" within longer
    words, which the word itself is not.
    """

    crop: Transform
    swap_sides: bool

    def __call__(self, record: Record) -> Record:
        """The record with a cropped picture, perhaps mirrored."""
        cropped = self.crop(record)
        if not self.swap_sides or not isinstance(cropped, QuestionedImage) or torch.rand(()) < 0.5:
            return cropped
        return replace(
            cropped,
            image=F.horizontal_flip(cropped.image),
            question=with_sides_swapped(cropped.question),
            answers=_swapped(cropped.answers),
            others=tuple(AnsweredQuestion(with_sides_swapped(q), _swapped(answers)) for q, answers in cropped.others),
        )


def _swapped(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(with_sides_swapped, texts))


@dataclass(frozen=True)
class CentreCrop:
    """Shorter side resized to ``margin`` times ``side``, bicubic, then the central square."""

    side: int
    margin: float = RESIZE_FOR_CROP
    crops: int = 1
    """Of a video."""

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture; of a video, with frames of that size (`uniform_crops`).

        Pairs of texts stay as they are.
        """
        if isinstance(record, PairedText):
            return record
        if isinstance(record, Video):
            return replace(record, frames=uniform_crops(record.frames, self.side, self.crops))
        picture = _picture(record)
        return replace(picture, image=self._cropped(picture.image))

    def _cropped(self, pixels: Tensor) -> Tensor:
        shorter = min(pixels.shape[-2:])
        # What lies further from the centre cannot be in the crop, and resizing a very long picture takes its memory.
        near = F.center_crop(pixels, [min(length, 2 * shorter) for length in pixels.shape[-2:]])
        resized_side = int(self.side * self.margin)
        resized = F.resize(near, [resized_side], interpolation=InterpolationMode.BICUBIC, antialias=True)
        return F.center_crop(resized, [self.side, self.side])


@dataclass(frozen=True)
class SquareResize:
    """The whole picture resized to a square, bicubic: nothing that a sentence may speak of is cut off."""

    side: int
    crops: int = 1
    """Of a video, which is not squeezed."""

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture; of a video, with `uniform_crops`; pairs of texts as they are."""
        if isinstance(record, PairedText):
            return record
        if isinstance(record, Video):
            return replace(record, frames=uniform_crops(record.frames, self.side, self.crops))
        picture = _picture(record)
        size = [self.side, self.side]
        image = F.resize(picture.image, size, interpolation=InterpolationMode.BICUBIC, antialias=True)
        return replace(picture, image=image)


def _picture(record: Record) -> Picture:
    if not isinstance(record, Picture):
        raise TypeError(
            f"this task reads pictures with a label, captions or a question, got a {type(record).__name__}: "
            "does the stream's data set fit its task?"
        )
    return record
