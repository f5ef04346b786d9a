"""One layer of g."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from uniperceiver.config import DropPath, MoEConfig, UnifiedDecoderConfig
from uniperceiver.model.conditional_moe import ConditionalPair, LinearPair
from uniperceiver.model.decoder_layer import DecoderLayer

BITS = [(1, 0, 0, 1, 1, 0, 0, 0)]


def make_layer(index: int = 0, **settings: object) -> DecoderLayer:
    torch.manual_seed(0)
    return DecoderLayer(UnifiedDecoderConfig(**{"width": 16, "heads": 4, "feedforward": 48, **settings}), index)


def test_equals_torchs_pre_norm_layer() -> None:
    layer = make_layer(moe=None).eval()
    torch_layer = nn.TransformerEncoderLayer(16, 4, 48, 0.0, "gelu", batch_first=True, norm_first=True).train()
    state = layer.state_dict()
    renamed = {
        "self_attn.in_proj_": "attention.first.",
        "self_attn.out_proj.": "attention.second.",
        "linear1.": "feed_forward.first.",
        "linear2.": "feed_forward.second.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    torch_layer.load_state_dict({a + p: state[b + p] for a, b in renamed.items() for p in ("weight", "bias")})
    x = torch.randn(2, 5, 16)
    is_padding = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]).bool()
    out, (key, value) = layer(x, layer.weights(BITS), [5], is_padding[:, None, None, :])
    torch.testing.assert_close(out, torch_layer(x, src_key_padding_mask=is_padding), atol=1e-5, rtol=1e-5)
    assert key.shape == value.shape == (2, 4, 5, 4)


def test_which_layers_are_conditional() -> None:
    even = MoEConfig(layers="even", in_attention=True)
    assert isinstance(make_layer(0).feed_forward, ConditionalPair)
    assert isinstance(make_layer(1).feed_forward, ConditionalPair)
    assert isinstance(make_layer(0).attention, LinearPair)
    assert isinstance(make_layer(2, moe=even).attention, ConditionalPair)
    assert isinstance(make_layer(1, moe=even).attention, LinearPair)
    assert isinstance(make_layer(1, moe=even).feed_forward, LinearPair)
    assert isinstance(make_layer(2, moe=MoEConfig(layers="odd")).feed_forward, LinearPair)
    assert isinstance(make_layer(3, moe=MoEConfig(layers="odd")).feed_forward, ConditionalPair)


def test_initialisation_is_xavier_with_qkv_as_three_maps_and_experts_of_their_own() -> None:
    layer = make_layer(width=64, feedforward=192, moe=MoEConfig(in_attention=True))
    for pair, bound in ((layer.attention, (6 / 128) ** 0.5), (layer.feed_forward, (6 / 256) ** 0.5)):
        assert isinstance(pair, ConditionalPair)
        for expert in pair.first.experts:
            assert 0.98 * bound < expert.weight.abs().max() <= bound
            assert not expert.bias.any()
        assert not torch.equal(pair.first.experts[0].weight, pair.first.experts[1].weight)


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean() -> None:
    layer = make_layer(moe=None, drop_path=0.25).train()
    nn.init.zeros_(layer.attention.second.weight)
    x = torch.randn(1, 3, 16).expand(8000, -1, -1)
    with torch.no_grad():
        out, _ = layer(x, layer.weights(BITS), [3], None)
        expected, _ = layer.eval()(x[:1], layer.weights(BITS), [3], None)
    update = out - x
    is_dropped = (update == 0).flatten(1).all(dim=1)
    assert abs(is_dropped.float().mean() - 0.25) < 0.02
    kept = update[~is_dropped]
    torch.testing.assert_close(kept, ((expected - x[:1]) / 0.75).expand_as(kept), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("drop_path", "layers", "rates"),
    [(0.1, 3, [0.1, 0.1, 0.1]), ((0.0, 0.1), 3, [0.0, 0.05, 0.1]), ((0.2, 0.1), 2, [0.2, 0.1]), ((0.0, 0.1), 1, [0.0])],
)
def test_one_rate_for_all_layers_or_two_between_which_they_are_spaced(
    drop_path: DropPath, layers: int, rates: list[float]
) -> None:
    """Two of them as v1 spaces the rates for visual question answering (its torch.linspace)."""
    config = UnifiedDecoderConfig(width=16, heads=4, feedforward=48, layers=layers, drop_path=drop_path)
    assert [DecoderLayer(config, index).drop_path for index in range(layers)] == pytest.approx(rates)


def test_a_rate_of_one_drops_everything() -> None:
    layer, x = make_layer(drop_path=1.0).train(), torch.randn(2, 3, 16)
    assert torch.equal(layer(x, layer.weights(BITS), [3], None)[0], x)


def test_layer_scale_starts_at_its_value_and_scales_both_branches() -> None:
    scaled, plain = make_layer(layer_scale=0.5, moe=None).eval(), make_layer(moe=None).eval()
    assert torch.equal(scaled.gamma_1, torch.full((16,), 0.5))
    plain.load_state_dict(scaled.state_dict(), strict=False)
    with torch.no_grad():
        for pair in (plain.attention, plain.feed_forward):
            pair.second.weight.mul_(0.5)
            pair.second.bias.mul_(0.5)
    x = torch.randn(2, 3, 16)
    torch.testing.assert_close(
        scaled(x, scaled.weights(BITS), [3], None)[0], plain(x, plain.weights(BITS), [3], None)[0]
    )
    assert plain.gamma_1 is None
