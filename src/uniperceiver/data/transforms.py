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

from uniperceiver.boxes import masks_to_boxes
from uniperceiver.config import ImageSizeConfig, TaskKind
from uniperceiver.data.records import (
    AnnotatedImage,
    CaptionedImage,
    LabelledImage,
    OutlinedImage,
    QuestionedImage,
    Record,
    TextRecord,
)

Transform = Callable[[Record], Record]
Picture = LabelledImage | CaptionedImage | QuestionedImage
Resizing = Callable[[int, int], tuple[int, int]]
"""Height and width of a picture → the height and width it is resized to."""

PADDING_GREY = 128
"""Value of the pixels that fill up a training crop (spec/mask_dino.md, section 9): part of the picture, not padding."""
RESIZE_FOR_CROP = 256 / 224
"""Evaluation resizes to this many times the crop's side, then crops the centre (v1: spec, section 7.5)."""
MIN_OBJECT_PIXELS = 4
"""Objects with fewer visible pixels are dropped from a training crop."""


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
    transforms: dict[TaskKind, Transform] = {
        "classification": CentreCrop(size.test),
        "captioning": SquareResize(size.test),
        "retrieval": SquareResize(size.test),
        "visual_question_answering": SquareResize(size.test),
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
        """The record with a (3, side, side) picture."""
        picture = _picture(record)
        crop = RandomResizedCrop(self.side, scale=self.scale, interpolation=InterpolationMode.BICUBIC, antialias=True)
        image = crop(picture.image)
        if self.flip and torch.rand(()) < 0.5:
            image = F.horizontal_flip(image)
        return replace(picture, image=image)


@dataclass(frozen=True)
class CentreCrop:
    """Shorter side resized to 256/224 of ``side``, bicubic, then the central square."""

    side: int

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture."""
        picture = _picture(record)
        shorter = min(picture.image.shape[1:])
        # What lies further from the centre cannot be in the crop, and resizing a very long picture takes its memory.
        near = F.center_crop(picture.image, [min(length, 2 * shorter) for length in picture.image.shape[1:]])
        resized_side = int(self.side * RESIZE_FOR_CROP)
        resized = F.resize(near, [resized_side], interpolation=InterpolationMode.BICUBIC, antialias=True)
        return replace(picture, image=F.center_crop(resized, [self.side, self.side]))


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


# --- one picture, its objects -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LargeScaleJitter:
    """The picture fitted into a square of ``side`` times a random factor, keeping its aspect."""

    side: int
    scale: tuple[float, float]

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """A new height and width."""
        low, high = self.scale
        factor = low + (high - low) * float(torch.rand(()))
        return _scaled(height, width, factor * self.side / max(height, width))


@dataclass(frozen=True)
class RandomShorterSide:
    """The shorter side drawn from a range of integers, the longer side bounded (App. B).

    Paper: only the range is given; it is drawn uniformly (A27).
    """

    shorter: tuple[int, int]
    longest: int

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """A new height and width."""
        low, high = self.shorter
        return _shorter_side_at(height, width, int(torch.randint(low, high + 1, ())), self.longest)


@dataclass(frozen=True)
class DetectionCrop:
    """Resize, flip, crop at a random place or fill up with grey to a square; boxes are those of the visible masks.

    Objects of which fewer than `MIN_OBJECT_PIXELS` stay visible are dropped; a crop without objects is kept.
    """

    side: int
    resizing: Resizing
    flip: bool

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture."""
        annotated = _annotated(record)
        height, width = self.resizing(*annotated.image.shape[1:])
        image = F.resize(annotated.image, [height, width], antialias=True)
        masks = _resized_masks(annotated.masks, height, width)
        if self.flip and torch.rand(()) < 0.5:
            image, masks = F.horizontal_flip(image), F.horizontal_flip(masks)
        top, left = (int(torch.randint(0, max(length - self.side, 0) + 1, ())) for length in (height, width))
        visible = min(height, self.side), min(width, self.side)
        fill = [0, 0, self.side - visible[1], self.side - visible[0]]
        image = F.pad(F.crop(image, top, left, *visible), fill, fill=PADDING_GREY)
        masks = F.pad(F.crop(masks, top, left, *visible), fill, fill=0)
        kept = masks.flatten(1).sum(dim=1) >= MIN_OBJECT_PIXELS
        masks = masks[kept].bool()
        return replace(
            annotated,
            image=image,
            boxes=masks_to_boxes(masks),
            masks=masks,
            labels=annotated.labels[kept],
            is_crowd=annotated.is_crowd[kept],
        )


@dataclass(frozen=True)
class DetectionResize:
    """Shorter side resized to ``shorter``, the longer one to at most ``longest``, aspect kept; all objects stay."""

    shorter: int
    longest: int

    def __call__(self, record: Record) -> Record:
        """The record with a picture of the new size, and its annotated boxes scaled along."""
        annotated = _annotated(record)
        old_height, old_width = annotated.image.shape[1:]
        height, width = _shorter_side_at(old_height, old_width, self.shorter, self.longest)
        ratio = torch.tensor([width / old_width, height / old_height] * 2)
        return replace(
            annotated,
            image=F.resize(annotated.image, [height, width], antialias=True),
            boxes=annotated.boxes * ratio,
            masks=_resized_masks(annotated.masks, height, width).bool(),
        )


def _annotated(record: Record) -> AnnotatedImage:
    if isinstance(record, OutlinedImage):
        return record.drawn()
    if not isinstance(record, AnnotatedImage):
        raise TypeError(
            f"detection reads pictures with annotated objects (coco_instances data), got a {type(record).__name__}"
        )
    return record


def _resized_masks(masks: Tensor, height: int, width: int) -> Tensor:
    """Masks (n, H, W) bool resized to (n, height, width) uint8, each pixel the nearest one's value."""
    if not len(masks):
        return torch.zeros(0, height, width, dtype=torch.uint8)
    return F.resize(masks.view(torch.uint8), [height, width], interpolation=InterpolationMode.NEAREST_EXACT)


def _shorter_side_at(height: int, width: int, shorter: int, longest: int) -> tuple[int, int]:
    return _scaled(height, width, min(shorter / min(height, width), longest / max(height, width)))


def _scaled(height: int, width: int, ratio: float) -> tuple[int, int]:
    return max(int(height * ratio + 0.5), 1), max(int(width * ratio + 0.5), 1)
