"""Which learning rate and weight decay a parameter has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from uniperceiver.config import ModelConfig, OptimizerConfig
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.training.mt_adamw import MTAdamW
from uniperceiver.training.parameter_groups import parameter_groups

CONFIG = OptimizerConfig(
    learning_rate=1.0,
    weight_decay=0.5,
    backbone_scale=0.1,
    text_encoder_scale=0.2,
    proposals_scale=0.3,
    projections_scale=0.35,
    decoder_scale=0.4,
)


@pytest.fixture
def model(tiny_model_config: ModelConfig) -> UniPerceiver:
    return UniPerceiver(tiny_model_config)


def settings(model: UniPerceiver) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay by parameter."""
    groups = parameter_groups(model, CONFIG)
    return {name: (group["lr"], group["weight_decay"]) for group in groups for name, _ in group["params"]}


def pairs(model: UniPerceiver) -> Iterator[tuple[str, nn.Parameter]]:
    return (pair for group in parameter_groups(model, CONFIG) for pair in group["params"])


def test_every_trainable_parameter_is_there_once(model: UniPerceiver) -> None:
    model.g.layers[0].requires_grad_(False)
    expected = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = list(pairs(model))
    assert len(found) == len(expected)
    assert all(expected[name] is parameter for name, parameter in found)
    assert not any(name.startswith("g.layers.0.") for name, _ in found)


def test_every_part_has_its_rate(model: UniPerceiver) -> None:
    rates = {name: rate for name, (rate, _) in settings(model).items()}
    parts = {"f_image.backbone.": 0.1, "f_image.proposals.": 0.3, "f_text.layers.": 0.2, "f_text.embedding.": 0.2}
    parts |= {"f_text.projection.": 0.35, "f_image.global_tokens.": 0.35, "f_image.region_tokens.": 0.35, "g.": 0.4}
    parts |= {"log_inverse_temperature": 0.4}
    for prefix, rate in parts.items():
        members = [name for name in rates if name.startswith(prefix)]
        assert members, prefix
        assert all(rates.pop(name) == pytest.approx(rate) for name in members)
    assert not rates


def test_only_matrices_of_linear_maps_decay(model: UniPerceiver) -> None:
    decays = {name for name, (_, decay) in settings(model).items() if decay}
    shapes = dict(model.named_parameters())
    assert all(shapes[name].ndim >= 2 for name in decays)
    kept = {name for name in shapes if shapes[name].requires_grad} - decays
    # By name, so that a vector-like parameter of a new kind must be thought about here.
    assert {name.rpartition(".")[2] for name in kept if shapes[name].ndim >= 2} == {
        "weight",
        "level_codes",
        "learned",
        "query",
        "value_bias",
        "output_bias",
    }
    weights = {name for name in kept if name.endswith(".weight") and shapes[name].ndim >= 2}
    assert all("embedding." in n or "gate" in n or "positions" in n or "denoising_labels" in n for n in weights), (
        weights
    )
    assert any("gate" in name for name in weights)
    assert "g.spe" in kept
    assert "log_inverse_temperature" in kept
    assert any("experts" in name for name in decays)
    assert any(name.endswith("in_proj_weight") for name in decays)


def test_rates_start_at_the_initial_ones(model: UniPerceiver) -> None:
    assert all(group["lr"] == group["initial_lr"] for group in parameter_groups(model, CONFIG))


@pytest.mark.parametrize("kind", [MTAdamW, torch.optim.AdamW])
def test_optimisers_take_the_groups(kind: type[torch.optim.Optimizer], model: UniPerceiver) -> None:
    optimizer = kind(parameter_groups(model, CONFIG), lr=1.0)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.5}
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.35, 0.4])


def test_a_model_without_proposals(tiny_model_config: ModelConfig) -> None:
    model = UniPerceiver(replace(tiny_model_config, image=replace(tiny_model_config.image, proposals=None)))
    assert not any(name.startswith("f_image.proposals") for name, _ in pairs(model))


def test_a_shared_parameter_is_refused(model: UniPerceiver) -> None:
    model.g.proj.bias = model.g.ln_post.bias
    with pytest.raises(ValueError, match=r"g.proj.bias and g.ln_post.bias are one parameter"):
        parameter_groups(model, CONFIG)


def test_a_frozen_model_is_refused(model: UniPerceiver) -> None:
    with pytest.raises(ValueError, match="nothing to optimise"):
        parameter_groups(model.requires_grad_(False), CONFIG)
