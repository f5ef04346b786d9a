"""Pictures with what the model has seen in them, so that further questions about a picture do not look again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TypeVar

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, padded_length
from uniperceiver.data.records import AnnotatedImage, LabelledImage
from uniperceiver.data.transforms import DetectionResize, Transform
from uniperceiver.model.image_encoder import ImageFeatures, KeptProposals
from uniperceiver.model.segments import Segment
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Answer, Caption, Classification, Detection, Match
from uniperceiver.predictor.pictures import Picture, listed, upright


@dataclass(frozen=True)
class View:
    """A picture brought to size in one way, and f_image of it."""

    pixels: Tensor
    """(3, h, w) uint8."""
    features: ImageFeatures
    """Of a batch of one."""

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width with padding: in a batch of one canvas each view has the padding that it has alone."""
        return padded_length(self.pixels.shape[1]), padded_length(self.pixels.shape[2])


@dataclass(eq=False)
class EncodedPicture:
    """An upright picture and its views. Every verb of the `Predictor` takes it in place of the picture."""

    pixels: Tensor
    """(3, H, W) uint8 RGB."""
    views: dict[Transform, View] = field(default_factory=dict)
    """One for each way in which verbs have asked for it."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


Pictures = Picture | EncodedPicture | Sequence[Picture | EncodedPicture]
"""One picture or a list of them, of any sizes and kinds mixed."""
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

    def find(self, pixels: Tensor) -> EncodedPicture:
        """The picture with these pixels (3, H, W), with its views if it was looked at lately."""
        content = pixels.permute(1, 2, 0).contiguous().numpy()
        key = hashlib.blake2b(content.tobytes(), person=f"{content.shape[0]}x{content.shape[1]}".encode()).digest()
        picture = self._pictures.pop(key, None) or EncodedPicture(pixels)
        self._pictures[key] = picture
        while len(self._pictures) > self.number:
            self._pictures.popitem(last=False)
        return picture


def encode_pictures(model: UniPerceiver, pictures: Iterable[EncodedPicture], transform: Transform) -> None:
    """Add the view that ``transform`` gives to every picture that lacks it; pictures of one canvas are one batch."""
    missing = list({id(picture): picture for picture in pictures if transform not in picture.views}.values())
    prepared = [(picture, _brought_to_size(picture.pixels, transform)) for picture in missing]
    backbone = model.config.pixels
    device = next(model.parameters()).device
    for _, group in groupby(sorted(prepared, key=_canvas), key=_canvas):
        same = list(group)
        images = ImageBatch.from_images([pixels for _, pixels in same], backbone.image_mean, backbone.image_std)
        features = model.encode_image(images.to(device))
        for row, (picture, pixels) in enumerate(same):
            picture.views[transform] = View(pixels, _row(features, row))


def looks_by_canvas(
    model: UniPerceiver, pictures: Sequence[EncodedPicture], transform: Transform, first: int
) -> list[list[Look]]:
    """The pictures, encoded where they are not yet, those of one canvas together; places count from ``first``."""
    encode_pictures(model, pictures, transform)
    looks = [Look(first + index, picture, picture.views[transform]) for index, picture in enumerate(pictures)]
    canvases = dict.fromkeys(look.view.canvas for look in looks)
    return [[look for look in looks if look.view.canvas == canvas] for canvas in canvases]


def joined(features: Sequence[ImageFeatures]) -> ImageFeatures:
    """Batches of one on the same canvas as one batch."""
    if len(features) == 1:
        return features[0]
    segments = [each.segment for each in features]
    proposals = [each.proposals for each in features if each.proposals is not None]
    return ImageFeatures(
        Segment(torch.cat([s.tokens for s in segments]), torch.cat([s.is_padding for s in segments]), "image"),
        None if not proposals else _joined_proposals(proposals),
    )


def drawable(results: Sequence[Result], pictures: Pictures) -> list[Result]:
    """Results that can draw themselves on the pictures that they are of."""
    return [
        replace(result, picture=partial(upright, given.pixels if isinstance(given, EncodedPicture) else given))
        for given, result in zip(listed(pictures), results, strict=True)
    ]


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
    is_detection = isinstance(transform, DetectionResize)
    record = unannotated(pixels, (0, 0)) if is_detection else LabelledImage(pixels, "", 0)
    prepared = transform(record)
    assert isinstance(prepared, AnnotatedImage | LabelledImage)
    return prepared.image


def _canvas(prepared: tuple[EncodedPicture, Tensor]) -> tuple[int, int]:
    return padded_length(prepared[1].shape[1]), padded_length(prepared[1].shape[2])


def _row(features: ImageFeatures, row: int) -> ImageFeatures:
    """One picture's features. Copies, so that keeping one does not keep the batch."""
    own = slice(row, row + 1)
    segment = features.segment
    kept = features.proposals
    return ImageFeatures(
        replace(segment, tokens=segment.tokens[own].clone(), is_padding=segment.is_padding[own].clone()),
        None
        if kept is None
        else KeptProposals(
            index=kept.index[own].clone(),
            boxes=kept.boxes[own].clone(),
            mask_embeddings=kept.mask_embeddings[own].clone(),
            objectness=kept.objectness[own].clone(),
            mask_features=kept.mask_features[own].clone(),
        ),
    )


def _joined_proposals(kept: Sequence[KeptProposals]) -> KeptProposals:
    return KeptProposals(
        index=torch.cat([k.index for k in kept]),
        boxes=torch.cat([k.boxes for k in kept]),
        mask_embeddings=torch.cat([k.mask_embeddings for k in kept]),
        objectness=torch.cat([k.objectness for k in kept]),
        mask_features=torch.cat([k.mask_features for k in kept]),
    )
