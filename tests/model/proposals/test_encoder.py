"""The encoder against recorded Mask DINO values, and what padding may not do."""

from __future__ import annotations

import torch
from torch import Tensor

from uniperceiver.config import ProposalConfig
from uniperceiver.model.proposals.encoder import Encoder
from uniperceiver.model.proposals.pyramid import Pyramid


def close(found: Tensor, recorded: Tensor) -> None:
    torch.testing.assert_close(found, recorded, rtol=1e-4, atol=1e-4)


def test_projections_and_positions_equal_the_recorded_ones(recorded_network, pixel_decoder, features) -> None:
    encoder = recorded_network(5).encoder
    pyramid = Pyramid.from_maps(encoder.project(features))
    close(pyramid.tokens, pixel_decoder["out/nomask/encoder_input"])
    close(encoder.positions(pyramid).expand(2, -1, -1), pixel_decoder["out/nomask/level_pos"])


def test_encoded_tokens_equal_the_recorded_ones(recorded_network, pixel_decoder, features) -> None:
    encoder = recorded_network(5).encoder
    close(encoder(features).tokens, pixel_decoder["out/nomask/encoder_layer1"])
    masked = encoder(features, pixel_decoder["in/image_padding_mask"])
    close(masked.tokens, pixel_decoder["out/mask/encoder_layer1"])


def test_content_of_padding_changes_nothing_elsewhere(tiny_config: ProposalConfig) -> None:
    torch.manual_seed(0)
    encoder = Encoder(tiny_config, (4, 6, 8, 10))
    is_padding = torch.zeros(1, 64, 96, dtype=torch.bool)
    is_padding[:, 40:] = True
    is_padding[:, :, 64:] = True
    maps = [torch.randn(1, 32, 64 // stride, -(-96 // stride)) for stride in (8, 16, 32, 64)]
    other = []
    for one in maps:
        cells = Pyramid.from_maps([one], is_padding).is_padding
        assert cells is not None
        changed = torch.where(cells.view(1, 1, *one.shape[2:]), torch.randn_like(one), one)
        other.append(changed)
    first, second = encoder.encode(maps, is_padding), encoder.encode(other, is_padding)
    assert first.is_padding is not None
    assert first.is_padding.any()
    assert torch.equal(first.tokens[~first.is_padding], second.tokens[~first.is_padding])
    assert not torch.equal(first.tokens, second.tokens)


def test_a_mask_without_padding_is_no_mask(recorded_network, features) -> None:
    encoder = recorded_network(5).encoder
    nothing = torch.zeros(2, 128, 160, dtype=torch.bool)
    close(encoder(features, nothing).tokens, encoder(features).tokens)


def test_five_levels_start_at_stride_4(tiny_config: ProposalConfig, make_features) -> None:
    config = ProposalConfig(**{**vars(tiny_config), "finest_stride": 4})
    pyramid = Encoder(config, (4, 6, 8, 10))(make_features(1, 64, 96))
    assert pyramid.shapes == ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2))


def test_a_one_cell_pyramid(tiny_network, make_features) -> None:
    pyramid = tiny_network.encoder(make_features(1, 4, 4))
    assert pyramid.shapes == ((1, 1),) * 4
    assert pyramid.tokens.isfinite().all()
