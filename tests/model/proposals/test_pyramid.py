"""Maps as tokens and back, in both orders, with padding."""

from __future__ import annotations

import torch

from uniperceiver.model.proposals.pyramid import Pyramid, resize_padding, valid_ratio


def test_tokens_are_maps_row_by_row() -> None:
    maps = [torch.randn(2, 3, 4, 6), torch.randn(2, 3, 2, 3)]
    pyramid = Pyramid.from_maps(maps)
    assert torch.equal(pyramid.tokens[:, 6 + 1], maps[0][:, :, 1, 1])
    assert all(torch.equal(a, b) for a, b in zip(pyramid.maps(), maps, strict=True))
    assert pyramid.is_padding is None


def test_reversing_keeps_everything_of_a_level_together() -> None:
    is_padding = torch.zeros(2, 16, 24, dtype=torch.bool)
    is_padding[1, 8:] = True
    pyramid = Pyramid.from_maps([torch.randn(2, 3, 4, 6), torch.randn(2, 3, 2, 3)], is_padding)
    back = pyramid.reversed()
    direct = Pyramid.from_maps(pyramid.maps()[::-1], is_padding)
    assert back.shapes == direct.shapes
    for name in ("tokens", "is_padding", "valid_ratios"):
        assert torch.equal(getattr(back, name), getattr(direct, name))


def test_centres_are_relative_to_the_unpadded_image() -> None:
    is_padding = torch.zeros(1, 8, 16, dtype=torch.bool)
    is_padding[:, :, 8:] = True
    pyramid = Pyramid.from_maps([torch.zeros(1, 1, 2, 4)], is_padding)
    assert pyramid.valid_ratios.tolist() == [[[0.5, 1.0]]]
    assert pyramid.cell_centres()[0, :4].tolist() == [[0.25, 0.25], [0.75, 0.25], [1.25, 0.25], [1.75, 0.25]]


def test_levels_of_the_recorded_padding(pixel_decoder) -> None:
    is_padding = pixel_decoder["in/image_padding_mask"]  # image 2 is valid in rows < 96 and columns < 120
    assert valid_ratio(resize_padding(is_padding, (16, 20)))[1].tolist() == [0.75, 0.75]
    assert valid_ratio(resize_padding(is_padding, (4, 5)))[1].tolist() == [0.800000011920929, 0.75]


def test_reference_points_equal_the_recorded_ones(pixel_decoder, features) -> None:
    maps = [torch.zeros(2, 1, *shape) for shape in ((16, 20), (8, 10), (4, 5), (2, 3))]
    pyramid = Pyramid.from_maps(maps, pixel_decoder["in/image_padding_mask"])
    references = pyramid.cell_centres()[:, :, None] * pyramid.valid_ratios[:, None]
    torch.testing.assert_close(references, pixel_decoder["out/mask/reference_points"])
