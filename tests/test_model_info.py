"""The account of a model, and the presets it is given for."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import cache

import pytest
from rich.console import Console

from uniperceiver.config import ModelConfig, ProposalConfig, load_config, shipped
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.model_info import ModelInfo, describe

PAPER = {"swin_base": 308e6, "swin_large": 446e6}
"""Tab. 6, "#params": deployed, that is with folded experts."""
V1 = {
    "v1_base": (124.61, 124.61, 124.02),
    "v1_large": (355.33, 355.33, 354.28),
    "v1_moe_base": (422.34, 124.61, 166.52),
    "v1_moe_large": (1413.54, 355.33, 505.39),
}
"""The table of docs/uniperceiver_v1.md, millions: in all, deployed for one stream, and as the official repository
counts, whose README says 124M, 354M, 167M and 505M."""


@cache
def account(preset: str) -> ModelInfo:
    return describe(load_config(preset), (224, 224))


@pytest.mark.parametrize("name", sorted(PAPER))
def test_deployed_parameters_are_the_papers_within_two_percent(name: str):
    parameters = account(name).parameters
    assert parameters.deployed == pytest.approx(PAPER[name], rel=0.02)
    assert parameters.total > parameters.deployed


@pytest.mark.parametrize("name", sorted(V1))
def test_v1_has_the_parameters_that_its_repository_states(name: str):
    parameters = account(name).parameters
    assert parameters.official_v1 is not None
    counts = (parameters.total, parameters.deployed, parameters.official_v1)
    assert tuple(round(count / 1e6, 2) for count in counts) == V1[name]
    rounded = {"v1_base": 124, "v1_large": 354, "v1_moe_base": 167, "v1_moe_large": 505}
    assert round(parameters.official_v1 / 1e6) == rounded[name]


@pytest.mark.parametrize("name", ["nano", "resnet50", "swin_base", "swin_large"])
def test_every_preset_can_be_described(name: str):
    assert name in shipped("model")
    info = account(name)
    assert sum(info.parameters.by_module.values()) == info.parameters.total
    assert [level.stride for level in info.levels] == [4, 8, 16, 32]
    assert info.cost.tokens == 10 + 7 * 7 + load_config(name).image.proposals.kept


@pytest.mark.parametrize(("name", "queries"), [("resnet50", 300), ("swin_base", 900), ("swin_large", 900)])
def test_presets_of_the_paper_have_table_7(name: str, queries: int):
    proposals = load_config(name).image.proposals
    # the defaults are Tab. 7 too: whoever changes one must change both
    assert proposals == replace(ProposalConfig(), queries=queries)
    assert (proposals.width, proposals.heads, proposals.points, proposals.feedforward) == (256, 8, 4, 2048)
    assert (proposals.encoder_layers, proposals.decoder_layers, proposals.kept) == (6, 6, 200)
    assert (proposals.denoising.box_noise, proposals.denoising.label_noise) == (1.0, 0.5)


def test_account_equals_the_real_model(tiny_model_config: ModelConfig):
    info = describe(tiny_model_config, (64, 96))
    model = UniPerceiver(tiny_model_config)
    assert info.parameters.total == sum(p.numel() for p in model.parameters())
    assert info.parameters.by_module["f_text"] == sum(p.numel() for p in model.f_text.parameters())
    assert info.parameters.deployed == model.deployed_parameters()
    assert tuple(level.channels for level in info.levels) == model.f_image.backbone.channels


def test_frozen_parameters_are_not_trainable(tiny_model_config: ModelConfig):
    frozen = replace(tiny_model_config, text=replace(tiny_model_config.text, frozen=True))
    free, fixed = (describe(config, (32, 32)).parameters for config in (tiny_model_config, frozen))
    assert free.trainable == free.total
    assert fixed.trainable < fixed.total == free.total


def test_larger_pictures_cost_more_and_are_rounded_up(tiny_model_config: ModelConfig):
    small, large = (describe(tiny_model_config, size).cost for size in ((64, 64), (65, 128)))
    assert small.flops > 0
    assert large.flops > 2 * small.flops
    assert large.image_size == (96, 128)


def test_flops_of_the_backbone_are_counted(tiny_model_config: ModelConfig):
    # resnet10t at 224 pixels: 1.1 G multiply-adds, two operations each
    whole = describe(tiny_model_config, (224, 224)).cost.flops
    image = replace(tiny_model_config.image, proposals=None)
    alone = describe(replace(tiny_model_config, image=image), (224, 224)).cost.flops
    assert 2.0e9 < alone < 2.4e9
    assert whole > alone


def test_json_and_table(tiny_model_config: ModelConfig):
    info = describe(tiny_model_config, (64, 64))
    data = json.loads(json.dumps(info.to_json()))
    assert data["parameters"]["total"] == info.parameters.total
    assert data["parameters"]["deployed"] == info.parameters.deployed
    assert data["parameters"]["by_module"] == info.parameters.by_module
    assert data["levels"][0] == {"stride": 4, "channels": info.levels[0].channels}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(info.table())
    assert "f_image.backbone" in console.export_text()


def test_model_without_regions_is_described(tiny_model_config: ModelConfig):
    info = describe(replace(tiny_model_config, image=replace(tiny_model_config.image, proposals=None)), (64, 64))
    assert info.widths.proposals is None
    assert info.cost.tokens == 2 + 4
    assert "f_image.proposals" not in info.parameters.by_module
