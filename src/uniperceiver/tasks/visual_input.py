"""What a task looks at: pictures or videos, as tensors and through f_image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from uniperceiver.batches import ImageBatch, VideoBatch
from uniperceiver.config import BackboneConfig, PatchEncoderConfig
from uniperceiver.data.records import CaptionedImage, TextRecord, Video
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.uni_perceiver import UniPerceiver


class Pictured(Protocol):
    """A record with a picture, or a video."""

    @property
    def image(self) -> Tensor:
        """(3, H, W) uint8."""
        ...


def visual_batch(records: Sequence[Pictured], backbone: BackboneConfig | PatchEncoderConfig) -> ImageBatch | VideoBatch:
    """Pictures normalised and padded to one size, or all views of videos.

    Raises:
        ValueError: videos for a model that reads single pictures, or videos of different numbers of views.
    """
    videos = [record.frames for record in records if isinstance(record, Video)]
    if not videos:
        return ImageBatch.from_images([record.image for record in records], backbone.image_mean, backbone.image_std)
    if not isinstance(backbone, PatchEncoderConfig):
        raise ValueError("videos need a model whose f_image reads frames (image.kind patches, v1)")
    views = sorted({len(frames) for frames in videos})
    if len(views) > 1:
        raise ValueError(f"videos of one batch need the same number of views, got {views}")
    clips = [clip for frames in videos for clip in frames]
    return VideoBatch.from_videos(clips, backbone.video_mean, backbone.video_std, views[0])


def pictures_of_texts(
    records: Sequence[TextRecord | CaptionedImage], backbone: BackboneConfig | PatchEncoderConfig
) -> ImageBatch | None:
    """The pictures that texts are of, normalised and padded to one size; None: the texts stand alone.

    Raises:
        ValueError: texts alone and texts with pictures together.
    """
    pictures = [record.image for record in records if isinstance(record, CaptionedImage)]
    if pictures and len(pictures) < len(records):
        raise ValueError("a batch of texts with and without pictures: give each kind a stream of its own")
    return ImageBatch.from_images(pictures, backbone.image_mean, backbone.image_std) if pictures else None


def encode_visual(model: UniPerceiver, images: ImageBatch | VideoBatch) -> ImageFeatures:
    """f_image of pictures, or of every view of videos."""
    if isinstance(images, VideoBatch):
        return ImageFeatures(model.encode_video(images), None)
    return model.encode_image(images)


def mean_over_views(values: Tensor, views: int) -> Tensor:
    """Values (B · V, …) of the V views of videos as (B, …) of the videos; those of pictures, of one, as they are."""
    return values if views == 1 else values.unflatten(0, (-1, views)).mean(dim=1)
