"""Sine codes against recorded Mask DINO values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.model.layers.position_encoding import box_position_code, map_position_code, sine_code

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(GOLDEN / "maskdino_sine.safetensors")


@pytest.mark.parametrize("width", [32, 128])
def test_codes_of_maps_equal_the_recorded_ones(recorded: dict[str, Tensor], width: int) -> None:
    is_padding = recorded["in/image/mask"]
    for mask, name in ((is_padding, "mask"), (torch.zeros_like(is_padding), "nomask")):
        code = map_position_code(mask, 2 * width).permute(0, 3, 1, 2)
        torch.testing.assert_close(code, recorded[f"out/image/{name}_n{width}"], rtol=1e-4, atol=1e-4)


def test_codes_of_boxes_equal_the_recorded_ones(recorded: dict[str, Tensor]) -> None:
    boxes = recorded["in/box/boxes_cxcywh"]
    for code, name in (
        (box_position_code(boxes, 128), "n128_4d"),
        (box_position_code(boxes, 32), "n32_4d"),
        (box_position_code(boxes[..., :2], 128), "n128_2d"),
    ):
        torch.testing.assert_close(code, recorded[f"out/box/{name}"], rtol=1e-4, atol=1e-4)


def test_a_one_cell_map_has_a_code() -> None:
    code = map_position_code(torch.zeros(1, 1, 1, dtype=torch.bool), 8)
    assert code.shape == (1, 1, 1, 8)
    assert code.isfinite().all()


def test_angle_zero_is_sine_zero_and_cosine_one() -> None:
    assert sine_code(torch.zeros(1), 6)[0].tolist() == [0, 1, 0, 1, 0, 1]
