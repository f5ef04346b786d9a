"""Boxes against recorded Mask DINO values, against each other, and at their edges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.boxes import (
    area,
    cxcywh_to_xyxy,
    giou,
    inverse_sigmoid,
    masks_to_boxes,
    masks_to_extents,
    xyxy_to_cxcywh,
)

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def primitives() -> dict[str, Tensor]:
    return load_file(GOLDEN / "maskdino_primitives.safetensors")


def test_overlaps_equal_the_recorded_ones(primitives: dict[str, Tensor]) -> None:
    a, b = cxcywh_to_xyxy(primitives["in/b1_cxcywh"]), cxcywh_to_xyxy(primitives["in/b2_cxcywh"])
    torch.testing.assert_close(giou(a[:, None], b[None]), primitives["out/giou"])


def test_boxes_of_masks_equal_the_recorded_ones(primitives: dict[str, Tensor]) -> None:
    masks = primitives["in/masks"]
    assert torch.equal(masks_to_boxes(masks), primitives["out/masks_to_boxes_bitmask"])
    assert torch.equal(masks_to_extents(masks), primitives["out/masks_to_boxes_mask2box"])
    height, width = masks.shape[-2:]
    size = torch.tensor([width, height, width, height])
    for boxes, kind in ((masks_to_boxes(masks), "bitmask"), (masks_to_extents(masks), "mask2box")):
        torch.testing.assert_close(inverse_sigmoid(xyxy_to_cxcywh(boxes / size)), primitives[f"out/ref_unsig_{kind}"])


def test_one_pixel_and_no_pixel() -> None:
    masks = torch.zeros(2, 4, 5, dtype=torch.bool)
    masks[0, 2, 3] = True
    assert masks_to_boxes(masks).tolist() == [[3, 2, 4, 3], [0, 0, 0, 0]]
    assert masks_to_extents(masks).tolist() == [[3, 2, 3, 2], [1e8, 1e8, 0, 0]]
    assert masks_to_boxes(masks[:0]).shape == (0, 4)


def test_conversions_are_inverse() -> None:
    boxes = torch.rand(7, 4)
    torch.testing.assert_close(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes)
    torch.testing.assert_close(area(cxcywh_to_xyxy(boxes)), boxes[:, 2] * boxes[:, 3])


def test_identical_boxes_overlap_fully_and_distant_ones_are_told_apart() -> None:
    box = torch.tensor([[0.1, 0.1, 0.4, 0.5]])
    near, far = box + 0.45, box + 0.5
    assert giou(box, box).item() == pytest.approx(1, abs=1e-4)
    assert giou(box, near) > giou(box, far)


def test_inverse_sigmoid_equals_the_recorded_values() -> None:
    values = load_file(GOLDEN / "maskdino_sine.safetensors")
    torch.testing.assert_close(inverse_sigmoid(values["in/invsig/x"]), values["out/invsig/y"])


def test_inverse_sigmoid_is_finite_everywhere() -> None:
    x = torch.tensor([-1.0, 0.0, 0.3, 1.0, 2.0, float("inf")])
    assert inverse_sigmoid(x).isfinite().all()
    assert inverse_sigmoid(x)[2].sigmoid().item() == pytest.approx(0.3)
