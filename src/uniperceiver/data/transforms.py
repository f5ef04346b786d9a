"""Pictures brought to size, for training and for evaluation; boxes and masks follow.

Randomness is drawn from torch's default generator, which `loading` seeds for every record. Pictures stay uint8:
`ImageBatch.from_images` normalises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandomResizedCrop
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
    CaptionedImage,
    LabelledImage,
    LabelledVideo,
    QuestionedImage,
    Record,
    TextRecord,
)

Transform = Callable[[Record], Record]
Picture = LabelledImage | CaptionedImage | QuestionedImage

RESIZE_FOR_CROP = 256 / 224
"""Evaluation resizes to this many times the crop's side, then crops the centre (v1: spec, section 7.5)."""


def train_transform(kind: TaskKind, size: ImageSizeConfig) -> Transform:
    """What a task's training pictures go through.

    Paper: "similar to Uni-Perceiver" (App. B), which augments every data set differently. Here all tasks but detection
    have one random resized crop, and a flip unless they ask about sides; no colour changes.
    """
    transforms: dict[TaskKind, Transform] = {
        "classification": RandomCrop(size.train, size.scale, size.flip),
        "captioning": RandomCrop(size.train, size.scale, size.flip),
        "retrieval": RandomCrop(size.train, size.scale, size.flip),
        "visual_question_answering": RandomCrop(size.train, size.scale, flip=False),
        "detection": DetectionCrop(size.train, _detection_resizing(size), size.flip),
        "masked_language_modeling": unchanged,
    }
    return transforms[kind]


def test_transform(kind: TaskKind, size: ImageSizeConfig) -> Transform:
    """What a task's pictures go through in evaluation and inference; nothing in it is random."""
    described = SquareResize(size.test) if size.squeeze else CentreCrop(size.test, margin=1.0)
    transforms: dict[TaskKind, Transform] = {
        "classification": CentreCrop(size.test),
        "captioning": described,
        "retrieval": described,
        "visual_question_answering": described,
        "detection": DetectionResize(size.test, size.test_longest),
        "masked_language_modeling": unchanged,
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
    if not isinstance(record, TextRecord):
        raise TypeError(f"this task reads texts (plain_text data), got a {type(record).__name__}")
    return record


# --- one picture, one label or text -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RandomCrop:
    """Random resized crop to a square, bicubic, aspect ratio within 3:4 and 4:3, then perhaps a horizontal flip."""

    side: int
    scale: tuple[float, float]
    """Range of the part of the area that is kept."""
    flip: bool

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture, or frames of that size, all cut alike."""
        if isinstance(record, LabelledVideo):
            return replace(record, frames=self._cropped(record.frames))
        picture = _picture(record)
        return replace(picture, image=self._cropped(picture.image))

    def _cropped(self, pixels: Tensor) -> Tensor:
        crop = RandomResizedCrop(self.side, scale=self.scale, interpolation=InterpolationMode.BICUBIC, antialias=True)
        cropped: Tensor = crop(pixels)
        return F.horizontal_flip(cropped) if self.flip and torch.rand(()) < 0.5 else cropped


@dataclass(frozen=True)
class CentreCrop:
    """Shorter side resized to ``margin`` times ``side``, bicubic, then the central square."""

    side: int
    margin: float = RESIZE_FOR_CROP

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture, or frames of that size, whose margin is one (v1, 7.5)."""
        if isinstance(record, LabelledVideo):
            return replace(record, frames=self._cropped(record.frames, 1.0))
        picture = _picture(record)
        return replace(picture, image=self._cropped(picture.image, self.margin))

    def _cropped(self, pixels: Tensor, margin: float) -> Tensor:
        shorter = min(pixels.shape[-2:])
        # What lies further from the centre cannot be in the crop, and resizing a very long picture takes its memory.
        near = F.center_crop(pixels, [min(length, 2 * shorter) for length in pixels.shape[-2:]])
        resized_side = int(self.side * margin)
        resized = F.resize(near, [resized_side], interpolation=InterpolationMode.BICUBIC, antialias=True)
        return F.center_crop(resized, [self.side, self.side])


@dataclass(frozen=True)
class SquareResize:
    """The whole picture resized to a square, bicubic: nothing that a sentence may speak of is cut off."""

    side: int

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture."""
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
