"""Pictures and videos with what the model has seen in them, so that further questions do not look again."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from uniperceiver.batches import padded_length
from uniperceiver.data.records import AnnotatedImage, CaptionedImage, CaptionedVideo, LabelledImage, LabelledVideo
from uniperceiver.data.transforms import DetectionResize, Transform
from uniperceiver.model.image_encoder import ImageFeatures, KeptProposals
from uniperceiver.model.segments import Segment
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Answer, Caption, Classification, Detection, Match
from uniperceiver.predictor.pictures import Picture, listed, to_pixels, upright
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.tasks.visual_input import encode_visual, visual_batch


@dataclass(frozen=True)
class View:
    """A picture brought to size in one way, or a video, and f_image of it."""

    pixels: Tensor
    """(3, h, w) uint8; of a video (V, T, 3, h, w)."""
    features: ImageFeatures
    """Of a batch of one; of a video, of its V views."""

    @property
    def rows(self) -> int:
        """Rows of ``features``."""
        return 1 if self.pixels.ndim == 3 else len(self.pixels)


@dataclass(eq=False)
class EncodedPicture:
    """An upright picture and its views. Every verb of the `Predictor` takes it in place of the picture."""

    pixels: Tensor
    """(3, H, W) uint8 RGB; of a video (V, T, 3, h, w), brought to size already: as filmed it would take much room."""
    views: dict[Transform, View] = field(default_factory=dict)
    """One for each way in which verbs have asked for it."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


Pictures = Picture | EncodedPicture | Sequence[Picture | EncodedPicture]
"""One picture or a list of them, of any sizes and kinds mixed."""
Item = TypeVar("Item")
Result = TypeVar("Result", Classification, Detection, Caption, Match, Answer)


@dataclass(frozen=True)
class Look:
    """One of the pictures asked about."""

    place: int
    """In the caller's list."""
    picture: EncodedPicture
    view: View


class RecentPictures:
    """The pictures looked at last, found again by their content."""

    def __init__(self, number: int) -> None:
        """Keep at most ``number`` pictures; 0 keeps none."""
        self.number = number
        self._pictures: OrderedDict[bytes, EncodedPicture] = OrderedDict()

    def look(self, given: Sequence[Any], read_video: VideoReader | None) -> list[EncodedPicture]:
        """What `to_pixels` makes of each that is not an `EncodedPicture` yet, as `find` finds it; errors as there."""
        return [each if isinstance(each, EncodedPicture) else self.find(to_pixels(each, read_video)) for each in given]

    def find(self, pixels: Tensor) -> EncodedPicture:
        """The picture with these pixels, as of `EncodedPicture`, with its views if it was looked at lately."""
        content = pixels.movedim(-3, -1).contiguous().numpy()
        digest = hashlib.blake2b(repr(content.shape).encode())
        digest.update(content.tobytes())
        picture = self._pictures.pop(digest.digest(), None) or EncodedPicture(pixels)
        self._pictures[digest.digest()] = picture
        while len(self._pictures) > self.number:
            self._pictures.popitem(last=False)
        return picture


def encode_pictures(model: UniPerceiver, pictures: Iterable[EncodedPicture], transform: Transform, most: int) -> None:
    """Add the view that ``transform`` gives to every picture that lacks it, those of a `_together` in one batch."""
    missing = list({id(picture): picture for picture in pictures if transform not in picture.views}.values())
    prepared = [(picture, _brought_to_size(picture.pixels, transform)) for picture in missing]
    device = next(model.parameters()).device
    for same in _together(prepared, lambda pair: pair[1], most):
        images = visual_batch([labelled(pixels) for _, pixels in same], model.config.pixels)
        features = encode_visual(model, images.to(device))
        rows = torch.arange(images.size).split(images.views)
        for (picture, pixels), own in zip(same, rows, strict=True):
            picture.views[transform] = View(pixels, features.rows(own))


def looks_by_canvas(
    model: UniPerceiver, pictures: Sequence[EncodedPicture], transform: Transform, first: int, most: int
) -> list[list[Look]]:
    """The pictures, encoded where they are not yet, as `_together`; places count from ``first``."""
    encode_pictures(model, pictures, transform, most)
    looks = [Look(first + index, picture, picture.views[transform]) for index, picture in enumerate(pictures)]
    return list(_together(looks, lambda look: look.view.pixels, most))


def _together(items: Iterable[Item], pixels_of: Callable[[Item], Tensor], most: int) -> Iterator[list[Item]]:
    """Items of one canvas, their size with padding, so that each has the padding that it has alone.

    At most ``most`` pictures, the frames of videos counted, or a single video.
    """
    by_canvas: defaultdict[tuple[int, ...], list[Item]] = defaultdict(list)
    for item in items:
        *views_and_frames, height, width = pixels_of(item).shape
        by_canvas[*views_and_frames, padded_length(height), padded_length(width)].append(item)
    for canvas, same in by_canvas.items():
        number = max(1, most // math.prod(canvas[:-3]))
        yield from (same[start : start + number] for start in range(0, len(same), number))


def joined(features: Sequence[ImageFeatures]) -> ImageFeatures:
    """Batches of one canvas as one batch."""
    if len(features) == 1:
        return features[0]
    segments = [each.segment for each in features]
    proposals = [each.proposals for each in features if each.proposals is not None]
    return ImageFeatures(
        Segment(torch.cat([s.tokens for s in segments]), torch.cat([s.is_padding for s in segments]), "image"),
        None if not proposals else _joined_proposals(proposals),
    )


def drawable(results: Sequence[Result], pictures: Pictures, read_video: VideoReader | None) -> list[Result]:
    """Results that can draw themselves on the pictures that they are of."""
    return [
        replace(
            result, picture=partial(upright, given.pixels if isinstance(given, EncodedPicture) else given, read_video)
        )
        for given, result in zip(listed(pictures), results, strict=True)
    ]


def labelled(pixels: Tensor) -> LabelledImage | LabelledVideo:
    """A picture (3, h, w), or a video (V, T, 3, h, w), as classification reads it, of no known class."""
    return LabelledImage(pixels, "", 0) if pixels.ndim == 3 else LabelledVideo(pixels, "", 0)


def captioned(pixels: Tensor) -> CaptionedImage | CaptionedVideo:
    """A picture (3, h, w), or a video (V, T, 3, h, w), as captioning reads it, of which nothing was said."""
    return CaptionedImage(pixels, "", ("",)) if pixels.ndim == 3 else CaptionedVideo(pixels, "", ("",))


def unannotated(pixels: Tensor, original_size: tuple[int, int]) -> AnnotatedImage:
    """A picture (3, h, w) as detection reads it, without known objects; ``original_size`` is (H, W) of the file."""
    height, width = pixels.shape[1:]
    return AnnotatedImage(
        image=pixels,
        image_id="",
        boxes=torch.zeros(0, 4),
        masks=torch.zeros(0, height, width, dtype=torch.bool),
        labels=torch.zeros(0, dtype=torch.int64),
        has_mask=torch.zeros(0, dtype=torch.bool),
        is_crowd=torch.zeros(0, dtype=torch.bool),
        original_size=original_size,
    )


def _brought_to_size(pixels: Tensor, transform: Transform) -> Tensor:
    if pixels.ndim == 5:
        return pixels
    is_detection = isinstance(transform, DetectionResize)
    record = unannotated(pixels, (0, 0)) if is_detection else LabelledImage(pixels, "", 0)
    prepared = transform(record)
    assert isinstance(prepared, AnnotatedImage | LabelledImage)
    return prepared.image


def _joined_proposals(kept: Sequence[KeptProposals]) -> KeptProposals:
    return KeptProposals(
        index=torch.cat([k.index for k in kept]),
        boxes=torch.cat([k.boxes for k in kept]),
        mask_embeddings=torch.cat([k.mask_embeddings for k in kept]),
        objectness=torch.cat([k.objectness for k in kept]),
        mask_features=torch.cat([k.mask_features for k in kept]),
    )
