"""RandAugment and crops that keep the aspect ratio: v1's training pictures."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.config import ImageSizeConfig
from uniperceiver.data.loading import seeded
from uniperceiver.data.records import CaptionedImage, LabelledImage
from uniperceiver.data.transforms import train_transform


def picture(height: int = 48, width: int = 96) -> torch.Tensor:
    """Every column has a value of its own."""
    return torch.arange(width, dtype=torch.uint8).expand(3, height, width)


def changed(size: ImageSizeConfig, seed: int) -> torch.Tensor:
    with seeded(seed):
        record = train_transform("classification", size)(LabelledImage(picture(), "a", 0))
    assert isinstance(record, LabelledImage)
    return record.image


def test_changes_are_drawn_anew_and_follow_the_seed() -> None:
    size = ImageSizeConfig(train=32, rand_augment=9)
    images = [changed(size, seed) for seed in range(6)]
    assert all(image.shape == (3, 32, 32) and image.dtype == torch.uint8 for image in images)
    assert torch.equal(changed(size, 0), images[0])
    plain = [changed(ImageSizeConfig(train=32), seed) for seed in range(6)]
    assert sum(not torch.equal(a, b) for a, b in zip(images, plain, strict=True)) >= 4


def test_a_shorter_side_keeps_the_aspect_ratio() -> None:
    """A step of one column of the picture stays one of the crop, wherever it is cut."""
    size = ImageSizeConfig(train=32, shorter_side=(48, 48), flip=False)
    crops = [changed(size, seed) for seed in range(5)]
    for crop in crops:
        assert crop.shape == (3, 32, 32)
        assert set(crop[0].int().diff(dim=1).unique().tolist()) == {1}
    assert len({int(crop[0, 0, 0]) for crop in crops}) > 1


def test_captioned_pictures_are_cropped_alike() -> None:
    transform = train_transform("captioning", ImageSizeConfig(train=32, shorter_side=(40, 60)))
    record = transform(CaptionedImage(picture(), "a", ("a car",)))
    assert isinstance(record, CaptionedImage)
    assert record.image.shape == (3, 32, 32)


def test_the_shorter_side_is_a_range() -> None:
    with pytest.raises(ValueError, match="smallest and the largest"):
        ImageSizeConfig(shorter_side=(300, 200))
