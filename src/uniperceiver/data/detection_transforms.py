"""A picture with objects brought to size: boxes, polygons and masks follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from uniperceiver.boxes import masks_to_boxes
from uniperceiver.data.outlines import DrawnObject, Outline, Window, draw, draw_in_window
from uniperceiver.data.records import AnnotatedImage, OutlinedImage, Record

Resizing = Callable[[int, int], tuple[int, int]]
"""Height and width of a picture → the height and width it is resized to."""

PADDING_GREY = 128
"""Value of the pixels that fill up a training crop (spec/mask_dino.md, section 9): part of the picture, not padding."""
MIN_OBJECT_PIXELS = 4
"""Objects with fewer visible pixels are dropped from a training crop."""


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

    Only what stays visible is resized, and polygons are brought to size as polygons and drawn once. Objects of which
    fewer than `MIN_OBJECT_PIXELS` stay visible are dropped; a crop without objects is kept.
    """

    side: int
    resizing: Resizing
    flip: bool

    def __call__(self, record: Record) -> Record:
        """The record with a (3, side, side) picture."""
        if not isinstance(record, OutlinedImage):
            record = _annotated(record)
        window = self._window(record.image.shape[1], record.image.shape[2])
        image = _cut(record.image, window)
        size = [window.new_height, window.new_width]
        image = F.resize(image, size, antialias=True)
        image = F.horizontal_flip(image) if window.flip else image
        fill = [0, 0, self.side - window.new_width, self.side - window.new_height]
        objects = self._drawn(record, window) if isinstance(record, OutlinedImage) else self._resized(record, window)
        return AnnotatedImage(
            image=F.pad(image, fill, fill=PADDING_GREY),
            image_id=record.image_id,
            boxes=objects.boxes,
            masks=objects.masks,
            labels=record.labels[objects.kept],
            has_mask=record.has_mask[objects.kept],
            is_crowd=record.is_crowd[objects.kept],
            original_size=record.original_size,
        )

    def _window(self, height: int, width: int) -> Window:
        """The part of a picture that is seen; its sides are whole pixels, so the scale is met to half a pixel."""
        new_height, new_width = self.resizing(height, width)
        flip = self.flip and bool(torch.rand(()) < 0.5)
        visible = min(new_height, self.side), min(new_width, self.side)
        part = _part(visible[0], new_height, height), _part(visible[1], new_width, width)
        top, left = (
            int(torch.randint(0, whole - seen + 1, ())) for whole, seen in zip((height, width), part, strict=True)
        )
        return Window(top, left, *part, *visible, flip)

    def _drawn(self, record: OutlinedImage, window: Window) -> VisibleObjects:
        """Objects given by outlines: drawn small, then laid into masks (n, side, side)."""
        drawn = [_draw(outline, record, window) for outline in record.outlines]
        kept = torch.tensor([entry.area >= MIN_OBJECT_PIXELS for entry in drawn], dtype=torch.bool)
        visible = [entry for entry in drawn if entry.area >= MIN_OBJECT_PIXELS]
        masks = torch.zeros(len(visible), self.side, self.side, dtype=torch.bool)
        for mask, entry in zip(masks.numpy(), visible, strict=True):
            height, width = entry.mask.shape
            mask[entry.top : entry.top + height, entry.left : entry.left + width] = entry.mask
        boxes = torch.tensor([entry.box for entry in visible], dtype=torch.float32).reshape(-1, 4)
        return VisibleObjects(kept, boxes, masks)

    def _resized(self, record: AnnotatedImage, window: Window) -> VisibleObjects:
        """Objects given by masks: the nearest pixel's value."""
        masks = _window_masks(record.masks, window)
        fill = [0, 0, self.side - window.new_width, self.side - window.new_height]
        kept = masks.flatten(1).sum(dim=1) >= MIN_OBJECT_PIXELS
        masks = F.pad(masks[kept], fill, fill=0).bool()
        return VisibleObjects(kept, masks_to_boxes(masks), masks)


@dataclass(frozen=True)
class VisibleObjects:
    """What a crop shows of a picture's n objects."""

    kept: Tensor
    """(n,) bool."""
    boxes: Tensor
    """(k, 4) float32, around what is visible of the kept ones."""
    masks: Tensor
    """(k, side, side) bool."""


def _part(visible: int, resized: int, length: int) -> int:
    """How many of ``length`` pixels ``visible`` of the ``resized`` ones show."""
    return length if visible == resized else min(max(round(visible * length / resized), 1), length)


def _cut(image: Tensor, window: Window) -> Tensor:
    return image[..., window.top : window.top + window.height, window.left : window.left + window.width]


def _window_masks(masks: Tensor, window: Window) -> Tensor:
    """Masks (n, H, W) bool of a picture as (n, new_height, new_width) uint8 of the window."""
    resized = _resized_masks(_cut(masks, window), window.new_height, window.new_width)
    return F.horizontal_flip(resized) if window.flip else resized


def _draw(outline: Outline, record: OutlinedImage, window: Window) -> DrawnObject:
    if isinstance(outline, list):
        return draw_in_window(outline, window)
    mask = _window_masks(draw([outline], *record.image.shape[1:]), window)[0].numpy()
    return DrawnObject(mask, 0, 0, int(mask.sum()))


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
