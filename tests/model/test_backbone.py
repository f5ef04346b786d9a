"""Backbones: parity with Mask DINO's, levels, frozen parts, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from uniperceiver.config import BackboneConfig
from uniperceiver.convert.key_rules import rename
from uniperceiver.convert.mask_dino_backbone import backbone_key
from uniperceiver.model.backbone import Backbone, build_backbone, feature_network

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Recorded values of a file, and its parameters under our names."""
    values = load_file(GOLDEN / f"maskdino_backbone_{name}.safetensors")
    prefix = "param/backbone."
    official = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    return values, rename(official, backbone_key)[0]


def assert_reproduces(backbone: Backbone, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        maps = backbone.eval()(values["in/image_normalized"])
    for level, features in enumerate(maps):
        torch.testing.assert_close(features, values[f"out/res{level + 2}"], rtol=1e-4, atol=1e-4)


def test_resnet50_reproduces_mask_dino():
    values, weights = golden("resnet50_narrow")
    # timm's stem is 64 wide whatever the rest is: the recorded 8 channels go into a stem whose others are zero
    backbone = Backbone(timm.create_model("resnet50", features_only=True, channels=(4, 8, 16, 32)))
    for name, parameter in backbone.state_dict().items():
        given = weights[name]
        if given.shape != parameter.shape:
            filled = torch.zeros_like(parameter)
            filled[tuple(slice(size) for size in given.shape)] = given
            weights[name] = filled
    backbone.load_state_dict(weights, strict=True)
    assert_reproduces(backbone, values)


def test_swin_reproduces_mask_dino_where_every_padding_applies():
    values, weights = golden("swin_small")
    network = timm.create_model(
        "swin_tiny_patch4_window7_224",
        features_only=True,
        strict_img_size=False,
        always_partition=True,
        window_size=4,
        embed_dim=16,
        depths=(2, 2, 4, 2),
        num_heads=(1, 2, 4, 8),
    )
    backbone = Backbone(network)
    backbone.load_state_dict(weights, strict=True)
    assert_reproduces(backbone, values)


def test_shifted_window_equals_timm_on_whole_windows():
    torch.manual_seed(0)
    sizes = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8), "window_size": 2}
    any_size = {"strict_img_size": False, "always_partition": True}
    network = timm.create_model("swin_tiny_patch4_window7_224", features_only=True, **any_size, **sizes).eval()
    pixels = torch.randn(2, 3, 64, 128)
    with torch.no_grad():
        expected = network(pixels)
        maps = Backbone(network).eval()(pixels)
    for ours, theirs in zip(maps, expected, strict=True):
        normed = nn.functional.layer_norm(theirs, theirs.shape[-1:])
        torch.testing.assert_close(ours, normed.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["resnet10t", "tf_efficientnet_lite0", "convnext_atto", "swin_tiny_patch4_window7_224", "pvt_v2_b0"]
)
def test_any_timm_network_gives_four_maps_in_channels_first(name: str):
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig(name=name))
        maps = backbone(torch.zeros(1, 3, 96, 160))
    assert [tuple(m.shape) for m in maps] == [
        (1, c, 96 // s, 160 // s) for c, s in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("size", [(32, 32), (30, 400), (33, 47)])
@pytest.mark.parametrize("name", ["resnet10t", "swin_tiny_patch4_window7_224"])
def test_sizes_that_are_no_multiple_of_32_round_up(name: str, size: tuple[int, int]):
    with torch.device("meta"):
        maps = build_backbone(BackboneConfig(name=name))(torch.zeros(2, 3, *size))
    assert [tuple(m.shape[-2:]) for m in maps] == [(-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16, 32)]


def test_batch_norms_stay_frozen_in_training():
    backbone = build_backbone(BackboneConfig(name="resnet10t")).train()
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 64, 64))[-1].sum().backward()
    assert before, "the network has batch norms"
    assert all(torch.equal(before[name], buffer) for name, buffer in backbone.named_buffers())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert not any(".bn" in name for name, _ in backbone.named_parameters())


def test_frozen_stages_reach_exactly_to_their_map():
    backbone = build_backbone(BackboneConfig(name="tf_efficientnet_lite0", frozen_stages=2))
    free = {name.split(".")[2] for name, p in backbone.named_parameters() if p.requires_grad}
    frozen = {name.rsplit(".", 1)[0] for name, p in backbone.named_parameters() if not p.requires_grad}
    assert free == {"3", "4", "5", "6"}
    assert "network.conv_stem" in frozen
    swin = build_backbone(BackboneConfig(name="swin_tiny_patch4_window7_224", frozen_stages=1))
    frozen = {name.split(".")[1] for name, p in swin.named_parameters() if not p.requires_grad}
    assert frozen == {"patch_embed", "layers_0"}


def test_all_parameters_train_without_frozen_stages():
    assert all(p.requires_grad for p in build_backbone(BackboneConfig(name="resnet10t")).parameters())


def test_unknown_network_suggests_near_names():
    with pytest.raises(ValueError, match=r"no network 'resnet5'.*resnet50"):
        build_backbone(BackboneConfig(name="resnet5"))


def test_network_without_a_level_is_refused():
    with torch.device("meta"), pytest.raises(ValueError, match=r"no feature map of stride 4, 8, 32"):
        build_backbone(BackboneConfig(name="vit_tiny_patch16_224"))


def test_feature_network_has_random_weights():
    torch.manual_seed(0)
    first = feature_network("resnet10t").state_dict()["layer1.0.conv1.weight"]
    assert not torch.equal(first, feature_network("resnet10t").state_dict()["layer1.0.conv1.weight"])
