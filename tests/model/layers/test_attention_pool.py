"""Attention pools: the folded product equals the plain one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from uniperceiver.model.layers.attention import attend
from uniperceiver.model.layers.attention_pool import AttentionPools


def plain(pools: AttentionPools, tokens: Tensor, positions: Tensor, is_padding: Tensor | None) -> Tensor:
    """The pools one by one, with keys and values of every token."""
    blocked = None if is_padding is None else is_padding[:, None, None, :]
    outputs = []
    for index in range(len(pools.query)):
        key = nn.functional.linear(tokens + positions, pools.key[index].flatten(0, 1))
        value = nn.functional.linear(tokens, pools.value[index].flatten(0, 1), pools.value_bias[index].flatten())
        heads = pools.query.shape[1]
        query = pools.query[index][None, :, None].expand(len(tokens), -1, -1, -1)
        per_head = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (key, value)]
        pooled = attend(query, *per_head, blocked)[:, :, 0].flatten(1)
        outputs.append(nn.functional.linear(pooled, pools.output[index], pools.output_bias[index]))
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("channels", [128, 48, 20])
def test_pools_equal_attention_with_explicit_keys_and_values(channels: int):
    torch.manual_seed(0)
    pools = AttentionPools(channels, 24, pools=3)
    nn.init.normal_(pools.value_bias)
    nn.init.normal_(pools.output_bias)
    tokens, positions = torch.randn(2, 7, channels), torch.randn(1, 7, channels)
    is_padding = torch.zeros(2, 7, dtype=torch.bool)
    is_padding[1, 4:] = True
    for padding in (None, is_padding):
        expected = plain(pools, tokens, positions, padding)
        torch.testing.assert_close(pools(tokens, positions, padding), expected, rtol=1e-4, atol=1e-5)


def test_pools_ask_different_questions():
    torch.manual_seed(0)
    pooled = AttentionPools(64, 16, pools=2)(torch.randn(1, 9, 64), torch.zeros(1, 9, 64))
    assert pooled.shape == (1, 2, 16)
    assert not torch.allclose(pooled[:, 0], pooled[:, 1], atol=1e-2)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    pools = AttentionPools(64, 16, pools=2)
    tokens = torch.randn(1, 9, 64)
    longer = torch.cat([tokens, 1e3 * torch.randn(1, 4, 64)], dim=1)
    is_padding = torch.arange(13)[None] >= 9
    torch.testing.assert_close(pools(longer, torch.zeros(1, 1, 64), is_padding), pools(tokens, torch.zeros(1, 1, 64)))


def test_every_parameter_learns():
    pools = AttentionPools(32, 8, pools=2)
    pools(torch.randn(2, 5, 32), torch.randn(1, 5, 32)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in pools.parameters())
