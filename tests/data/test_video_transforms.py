from __future__ import annotations

import math

import pytest
import torch

from uniperceiver.config import ImageSizeConfig
from uniperceiver.data import transforms
from uniperceiver.data.records import CaptionedVideo, LabelledVideo
from uniperceiver.data.video_transforms import jittered_crop, uniform_crops


def ramp(height: int, width: int, clips: int = 1) -> torch.Tensor:
    """(clips, 2, 3, height, width) uint8, brighter along the longer side; later clips and frames are darker."""
    along = torch.linspace(0, 200, max(height, width))
    picture = along.expand(height, -1) if width > height else along[:, None].expand(-1, width)
    steps = torch.arange(2 * clips).view(clips, 2, 1, 1, 1)
    return (picture + 40 - steps).to(torch.uint8).expand(-1, -1, 3, -1, -1)


@pytest.mark.parametrize(("height", "width"), [(32, 96), (96, 32), (64, 192)])
def test_three_crops_lie_along_the_longer_side(height: int, width: int) -> None:
    crops = uniform_crops(ramp(height, width, clips=2), 32, 3)
    assert crops.shape == (6, 2, 3, 32, 32)
    brightness = crops[:, 0].float().mean(dim=(1, 2, 3)).tolist()
    assert brightness == pytest.approx([73, 140, 206, 71, 138, 204], abs=3)  # the crops of a clip follow each other
    assert torch.equal(uniform_crops(ramp(height, width), 32, 1)[0], crops[1])


@pytest.mark.parametrize(
    ("height", "width", "size"), [(90, 131, (64, 93)), (131, 90, (93, 64)), (40, 64, (64, 102)), (64, 70, (64, 70))]
)
def test_frames_are_resized_bilinearly_without_antialiasing(height: int, width: int, size: tuple[int, int]) -> None:
    """As by interpolate, which the official code calls, but for rounding to uint8: 131 · 64 / 90 = 93.2, 64² / 40."""
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (1, 2, 3, height, width), dtype=torch.uint8)
    crops = uniform_crops(frames, 64, 3).float()
    resized = torch.nn.functional.interpolate(frames[0].float(), size, mode="bilinear", antialias=False)
    for crop, place in zip(crops, (0.0, 0.5, 1.0), strict=True):
        top, left = (math.ceil((length - 64) * place) for length in size)
        torch.testing.assert_close(crop, resized[..., top : top + 64, left : left + 64], atol=1.1, rtol=0.0)


@pytest.mark.parametrize(
    ("longer", "three", "alone"), [(37, [0, 3, 5], 2), (36, [0, 2, 4], 2), (39, [0, 4, 7], 4), (33, [0, 1, 1], 0)]
)
def test_half_a_pixel_of_the_central_crop(longer: int, three: list[int], alone: int) -> None:
    """Rounded up between others (Kinetics); alone, to the even number (MSVD, by torchvision's CenterCrop)."""
    numbered = torch.arange(longer, dtype=torch.uint8)
    wide = numbered.expand(1, 1, 3, 32, -1)
    for frames in (wide, wide.transpose(-1, -2)):
        assert uniform_crops(frames, 32, 3)[:, 0, 0, 0, 0].tolist() == three
        assert uniform_crops(frames, 32, 1)[:, 0, 0, 0, 0].tolist() == [alone]


def test_training_crops_are_random_squares_alike_in_all_frames() -> None:
    torch.manual_seed(0)
    still = torch.randint(0, 255, (1, 1, 3, 40, 70), dtype=torch.uint8).expand(1, 4, -1, -1, -1)
    first, second = (jittered_crop(still, 32, flip=False) for _ in range(2))
    assert first.shape == second.shape == (1, 4, 3, 32, 32)
    assert torch.equal(first, first[:, :1].expand(-1, 4, -1, -1, -1))
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    flipped = [jittered_crop(ramp(40, 80), 32, flip=True)[0, 0, 0] for _ in range(20)]
    assert {bool(picture[0, 0] > picture[0, -1]) for picture in flipped} == {True, False}


@pytest.mark.parametrize("squeeze", [False, True])
def test_videos_go_through_the_transforms_of_their_tasks(squeeze: bool) -> None:
    size = ImageSizeConfig(train=32, test=32, crops=3, squeeze=squeeze)
    labelled, captioned = LabelledVideo(ramp(40, 80, 4), "a", 0), CaptionedVideo(ramp(40, 80, 4), "a", ("x",))
    for kind, record in (("classification", labelled), ("captioning", captioned), ("retrieval", captioned)):
        tested = transforms.test_transform(kind, size)(record)
        assert tested.frames.shape == (12, 2, 3, 32, 32)  # v1's 12 views
        trained = transforms.train_transform(kind, size)(record)
        assert trained.frames.shape == (4, 2, 3, 32, 32)
