"""Global tokens, Eq. (3)."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.model.global_tokens import GlobalTokens
from uniperceiver.model.layers.position_encoding import map_position_code


def test_equation_3_is_pools_then_the_flattened_map():
    torch.manual_seed(0)
    tokens = GlobalTokens(32, 24, pools=3)
    features = torch.randn(2, 32, 4, 5)
    out, is_padding = tokens(features)
    assert out.shape == (2, 3 + 20, 24)
    assert not is_padding.any()
    assert tokens.pools is not None
    cells = features.permute(0, 2, 3, 1).reshape(2, 20, 32)
    code = {w: map_position_code(torch.zeros(2, 4, 5, dtype=torch.bool), w).reshape(2, 20, w) for w in (24, 32)}
    torch.testing.assert_close(out[:, :3], tokens.pools(cells, code[32]))
    torch.testing.assert_close(out[:, 3:], tokens.projection(cells) + code[24])


def test_no_pools_leaves_the_flattened_map():
    out, is_padding = GlobalTokens(32, 24, pools=0)(torch.randn(1, 32, 2, 3))
    assert out.shape == (1, 6, 24)
    assert is_padding.shape == (1, 6)


def test_padded_cells_are_marked_and_change_nothing():
    torch.manual_seed(0)
    tokens = GlobalTokens(32, 24, pools=2)
    features = torch.randn(1, 32, 3, 4)
    padded = torch.full((1, 32, 5, 6), 50.0)
    padded[:, :, :3, :4] = features
    mask = torch.ones(1, 5, 6, dtype=torch.bool)
    mask[:, :3, :4] = False
    alone, _ = tokens(features)
    out, is_padding = tokens(padded, mask)
    assert int((~is_padding).sum()) == 2 + 12
    torch.testing.assert_close(out[~is_padding], alone[0])


def test_places_are_told_apart():
    out, _ = GlobalTokens(32, 24, pools=1)(torch.ones(1, 32, 3, 3))
    cells = out[0, 1:]
    assert torch.cdist(cells, cells).fill_diagonal_(1).min() > 1e-2


def test_widths_without_sine_positions_are_refused():
    with pytest.raises(ValueError, match="divisible by 4, got 30"):
        GlobalTokens(30, 24, pools=1)
