"""Mask DINO's backbone keys against our backbones: every key, every shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from uniperceiver.config import BackboneConfig
from uniperceiver.convert.key_rules import rename
from uniperceiver.convert.mask_dino_backbone import backbone_key
from uniperceiver.model.backbone import build_backbone

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(
    ("keys", "name"), [("r50", "resnet50.tv_in1k"), ("swinl", "swin_large_patch4_window12_384.ms_in22k")]
)
def test_release_fills_our_backbone_exactly(keys: str, name: str):
    rows = json.loads((GOLDEN / f"maskdino_keys_{keys}.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        official = {
            key.removeprefix("backbone."): torch.empty(shape) for key, shape, *_ in rows if key.startswith("backbone.")
        }
        ours = build_backbone(BackboneConfig(name=name)).state_dict()
    converted, report = rename(official, backbone_key)
    assert report.is_complete
    assert {key: tuple(value.shape) for key, value in converted.items()} == {
        key: tuple(value.shape) for key, value in ours.items()
    }


def test_patch_merging_moves_to_the_next_stage():
    assert backbone_key("layers.0.downsample.reduction.weight") == "network.layers_1.downsample.reduction.weight"


def test_key_of_another_network_is_refused():
    with pytest.raises(ValueError, match=r"no rule knows the key stages\.0\.weight"):
        backbone_key("stages.0.weight")
