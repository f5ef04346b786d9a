"""Loading everything a configuration names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from uniperceiver.config import ModelConfig
from uniperceiver.convert.pretrained_weights import load_pretrained
from uniperceiver.model.uni_perceiver import UniPerceiver


def test_only_what_has_a_source_changes(tiny_model_config: ModelConfig, tmp_path: Path):
    whole = timm.create_model("resnet10t").state_dict()
    save_file(whole, tmp_path / "weights.safetensors")
    backbone = replace(tiny_model_config.image.backbone, pretrained=f"file:{tmp_path / 'weights.safetensors'}")
    model = UniPerceiver(replace(tiny_model_config, image=replace(tiny_model_config.image, backbone=backbone)))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_pretrained(model)
    after = model.state_dict()
    prefix = "f_image.backbone.network."
    assert all(torch.equal(after[prefix + key], value) for key, value in whole.items() if prefix + key in after)
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith(prefix) for name in changed)
