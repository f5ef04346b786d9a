from __future__ import annotations

import numpy as np
import pytest
import torch

from uniperceiver.boxes import masks_to_boxes
from uniperceiver.config import ImageSizeConfig
from uniperceiver.data.detection_transforms import DetectionCrop, LargeScaleJitter
from uniperceiver.data.outlines import (
    Outline,
    Window,
    box_outline,
    draw,
    draw_in_window,
    encode_outline,
    polygon_area,
)
from uniperceiver.data.records import OutlinedImage
from uniperceiver.data.transforms import test_transform as evaluation_transform

STAR = [
    30.5,
    4.2,
    36.1,
    20.7,
    55.3,
    21.0,
    40.2,
    31.9,
    46.8,
    50.4,
    30.1,
    39.3,
    13.6,
    50.2,
    20.0,
    31.1,
    5.5,
    20.6,
    24.9,
    20.3,
]
CROWD = [[12.0, 40.0, 28.0, 40.0, 28.0, 55.0, 12.0, 55.0]]


def outlined(*outlines: Outline, crowd: bool = False) -> OutlinedImage:
    n = len(outlines)
    return OutlinedImage(
        image=torch.zeros(3, 60, 64, dtype=torch.uint8),
        image_id="a",
        boxes=torch.zeros(n, 4),
        outlines=tuple(outlines),
        labels=torch.arange(n),
        has_mask=torch.ones(n, dtype=torch.bool),
        is_crowd=torch.full((n,), crowd),
        original_size=(60, 64),
    )


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("window", [(0, 0, 60, 64, 60, 64), (0, 0, 60, 64, 150, 160), (10, 8, 30, 40, 75, 100)])
def test_drawing_small_is_drawing_on_the_whole_window(window: tuple[int, ...], flip: bool) -> None:
    place = Window(*window, flip=flip)
    drawn = draw_in_window([STAR], place)
    whole = draw([place.moved([STAR])], place.new_height, place.new_width)[0].numpy()
    pasted = np.zeros_like(whole)
    height, width = drawn.mask.shape
    pasted[drawn.top : drawn.top + height, drawn.left : drawn.left + width] = drawn.mask
    # Outside the window COCO's drawing rounds towards zero, so that edges that cross the border may differ by a pixel.
    assert (pasted != whole).sum() <= (0 if window[:2] == (0, 0) else 4)
    assert drawn.area == pasted.sum()
    assert drawn.box == masks_to_boxes(torch.from_numpy(pasted)).tolist()


def test_what_lies_outside_is_nothing() -> None:
    drawn = draw_in_window([[0, 0, 4, 0, 4, 4]], Window(20, 20, 10, 10, 40, 40, flip=False))
    assert (drawn.area, drawn.box) == (0, [0, 0, 0, 0])


def test_polygons_and_masks_are_cropped_alike() -> None:
    crop = DetectionCrop(48, LargeScaleJitter(48, (0.5, 2.0)), flip=True)
    record = outlined([STAR], CROWD, encode_outline(CROWD, 60, 64))
    compared = 0
    for seed in range(25):
        torch.manual_seed(seed)
        of_polygons = crop(record)
        torch.manual_seed(seed)
        of_masks = crop(record.drawn())
        assert torch.equal(of_polygons.image, of_masks.image)
        assert torch.equal(of_polygons.boxes, masks_to_boxes(of_polygons.masks))
        masks = dict(zip(of_masks.labels.tolist(), of_masks.masks, strict=True))
        for label, mask in zip(of_polygons.labels.tolist(), of_polygons.masks, strict=True):
            if label in masks and int(mask.sum()) > 100:
                assert float((mask & masks[label]).sum() / (mask | masks[label]).sum()) > 0.75
                compared += 1
            if label == 2:  # run lengths are masks in both
                assert torch.equal(mask, masks[label])
    assert compared > 25


def test_a_picture_without_objects() -> None:
    got = DetectionCrop(48, LargeScaleJitter(48, (0.5, 2.0)), flip=True)(outlined())
    assert (tuple(got.masks.shape), tuple(got.boxes.shape)) == ((0, 48, 48), (0, 4))


def test_evaluation_draws_in_the_original_picture_first() -> None:
    record = outlined([STAR])
    size = ImageSizeConfig(test=90, test_longest=200)
    transform = evaluation_transform("detection", size)
    assert torch.equal(transform(record).masks, transform(record.drawn()).masks)


def test_areas() -> None:
    assert polygon_area(box_outline([1, 2, 4, 8])) == 18
    assert polygon_area([[0, 0, 4, 0, 0, 4], [10, 10, 10, 12, 12, 12, 12, 10]]) == 12
