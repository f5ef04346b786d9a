"""Raw examples, one class per kind of annotation. Data sets give them, tasks make tensors of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid

from uniperceiver.data.outlines import Outline, draw


@dataclass(frozen=True)
class LabelledImage:
    """A picture with one class."""

    image: Tensor
    """(3, H, W) uint8 RGB, upright (EXIF rotation applied)."""
    image_id: str
    label: int
    """Index into the data set's ``names``."""


@dataclass(frozen=True)
class AnnotatedImage:
    """A picture with its objects."""

    image: Tensor
    """(3, H, W) uint8 RGB, upright."""
    image_id: str
    boxes: Tensor
    """(n, 4) float32, (x0, y0, x1, y1) in pixels of ``image``."""
    masks: Tensor
    """(n, H, W) bool."""
    labels: Tensor
    """(n,) int64, index into the data set's ``names``."""
    has_mask: Tensor
    """(n,) bool. False: only the box is known, and the mask is the box filled, so that it moves with the picture."""
    is_crowd: Tensor
    """(n,) bool; crowds are not trained on and are ignored regions in evaluation."""
    original_size: tuple[int, int]
    """Height and width of the picture as stored: predictions are given in its pixels."""


@dataclass(frozen=True)
class OutlinedImage:
    """A picture with its objects, whose masks are not drawn yet: polygons are brought to size as polygons."""

    image: Tensor
    """(3, H, W) uint8 RGB, upright."""
    image_id: str
    boxes: Tensor
    """(n, 4) float32, (x0, y0, x1, y1) in pixels of ``image``."""
    outlines: tuple[Outline, ...]
    """n polygons or run lengths, in pixels of ``image``."""
    labels: Tensor
    """(n,) int64, index into the data set's ``names``."""
    has_mask: Tensor
    """(n,) bool, as of `AnnotatedImage`."""
    is_crowd: Tensor
    """(n,) bool."""
    original_size: tuple[int, int]
    """Height and width of the picture as stored."""

    @property
    def masks(self) -> Tensor:
        """(n, H, W) bool, drawn each time they are asked for."""
        if not self.outlines:
            return torch.zeros(0, *self.image.shape[1:], dtype=torch.bool)
        return draw(self.outlines, self.image.shape[1], self.image.shape[2])

    def drawn(self) -> AnnotatedImage:
        """The same picture with masks."""
        return AnnotatedImage(
            image=self.image,
            image_id=self.image_id,
            boxes=self.boxes,
            masks=self.masks,
            labels=self.labels,
            has_mask=self.has_mask,
            is_crowd=self.is_crowd,
            original_size=self.original_size,
        )


@dataclass(frozen=True)
class CaptionedImage:
    """A picture with what people said of it."""

    image: Tensor
    """(3, H, W) uint8 RGB, upright."""
    image_id: str
    captions: tuple[str, ...]
    """At least one."""


class AnsweredQuestion(NamedTuple):
    """A question about a picture and the answers people gave."""

    question: str
    answers: tuple[str, ...]
    """One per person asked, at least one."""


@dataclass(frozen=True)
class QuestionedImage:
    """A picture, a question and the answers people gave."""

    image: Tensor
    """(3, H, W) uint8 RGB, upright."""
    image_id: str
    question: str
    answers: tuple[str, ...]
    """One per person asked (10 in VQAv2); none where they are not known."""
    others: tuple[AnsweredQuestion, ...] = ()
    """What else is asked about this picture; in training one look at it may serve several questions."""
    question_id: int | str | None = None
    """As in the annotations, where they number questions."""
    answer_type: str | None = None
    """Yes/no, number or other, where the annotations say it (VQAv2)."""


@dataclass(frozen=True)
class Video:
    """A video: a picture of many frames (v1), looked at in one or several views."""

    frames: Tensor
    """(V, T, 3, H, W) uint8 RGB, V views of T frames: clips, and in evaluation crops of each. One in training."""
    image_id: str
    """Its file, or what a composed clip is called."""

    @property
    def image(self) -> Tensor:
        """(3, h, w) uint8, the frames of the first view side by side in two rows, for people to look at."""
        return make_grid(self.frames[0], nrow=-(-self.frames.shape[1] // 2), padding=0)


@dataclass(frozen=True)
class LabelledVideo(Video):
    """A video with one class."""

    label: int
    """Index into the data set's ``names``."""


@dataclass(frozen=True)
class CaptionedVideo(Video):
    """A video with what people said of it."""

    captions: tuple[str, ...]
    """At least one."""


@dataclass(frozen=True)
class TextRecord:
    """A text, or several in one sequence."""

    text: str
    following: tuple[str, ...] | None = None
    """Where texts are packed, those that stand behind it, perhaps none, an end token between each two. None: they are
    not packed."""


@dataclass(frozen=True)
class LabelledText:
    """One text, or two, with a class."""

    text: str
    second: str | None
    text_id: str
    label: float
    """Index into the data set's ``names``; of graded data (STS-B) a place between 0 and 1, the first and the second."""


@dataclass(frozen=True)
class PairedText:
    """A text with those that belong to it: a question with its answers, a sentence with its translations."""

    text: str
    text_id: str
    partners: tuple[str, ...]
    """At least one."""


Record = (
    LabelledImage
    | AnnotatedImage
    | OutlinedImage
    | CaptionedImage
    | QuestionedImage
    | LabelledVideo
    | CaptionedVideo
    | TextRecord
    | LabelledText
    | PairedText
)


@dataclass(frozen=True)
class ObjectReference:
    """What evaluation keeps of an `AnnotatedImage`: everything but the pixels, in pixels of the original picture."""

    image_id: str
    size: tuple[int, int]
    """(H, W)."""
    boxes: np.ndarray
    """(n, 4) float64, (x0, y0, x1, y1)."""
    masks: Sequence[dict[str, object] | None]
    """COCO RLE of each mask; None for an object of which only the box is known."""
    labels: np.ndarray
    """(n,) int64."""
    is_crowd: np.ndarray
    """(n,) bool."""
    areas: np.ndarray
    """(n,) float64, in pixels, as annotated (COCO sorts objects into sizes by it)."""

    @property
    def has_masks(self) -> bool:
        """Whether every object has a mask."""
        return all(mask is not None for mask in self.masks)
