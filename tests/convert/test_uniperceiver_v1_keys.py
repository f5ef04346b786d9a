"""The state dicts of the four official models, name by name and shape by shape, as recorded from the official code."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uniperceiver.config import load_config
from uniperceiver.convert.uniperceiver_v1 import convert_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_checkpoint import explained
from uniperceiver.convert.uniperceiver_v1_configuration import configuration
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.convert.uniperceiver_v1_keys import to_official, to_ours, why_unused
from uniperceiver.model.uni_perceiver import UniPerceiver

RECORDED = Path(__file__).parents[1] / "golden" / "official_v1_state_dict_keys.json.gz"
MODELS = {"base": 195, "large": 363, "moe_base": 651, "moe_large": 1275}
"""Model → number of names (spec/uni_perceiver_v1_moe.md, 9.1)."""


def recorded(name: str) -> dict[str, tuple[list[int], str]]:
    """Name in the current code → shape, and the name in a raw DeepSpeed file."""
    found: dict[str, dict[str, tuple[list[int], str]]] = json.loads(gzip.decompress(RECORDED.read_bytes()))
    return found[name]


def official(name: str) -> dict[str, Tensor]:
    """The state dict of an official model; one zero for each tensor, so they take no memory."""
    return {key: torch.zeros(()).expand(shape) for key, (shape, _) in recorded(name).items()}


def own(name: str) -> dict[str, Tensor]:
    """The state dict of our shipped configuration, without numbers in it."""
    with torch.device("meta"):
        return UniPerceiver(load_config(f"v1_{name}")).state_dict()


@pytest.mark.parametrize("name", MODELS)
def test_every_recorded_name_has_its_place_and_every_place_a_name(name: str) -> None:
    """Nothing is missing, surplus or of another shape; what is dropped is the gates and type that nothing reads."""
    given = official(name)
    assert len(given) == MODELS[name]
    ours, report = to_ours(given)
    assert {key: tensor.shape for key, tensor in ours.items()} == {key: w.shape for key, w in own(name).items()}
    assert report.is_complete
    assert len(report.matched) + len(report.dropped) == len(given)
    assert all(why_unused(key) for key in report.dropped)
    is_gate = [".gate." in key for key in report.dropped]
    # Both second maps of a layer with experts have a gate of five tensors; the type of pictures is the one other name.
    layers = sum(key.endswith("linear2.gate.wg.weight") for key in given)
    assert (is_gate.count(True), is_gate.count(False)) == (10 * layers, 1)


@pytest.mark.parametrize("name", MODELS)
def test_the_recorded_names_imply_the_shipped_configuration(name: str) -> None:
    ours, _ = to_ours(official(name))
    config = load_config(f"v1_{name}")
    assert configuration(ours) == replace(config, text=replace(config.text, tokenizer=None))


@pytest.mark.parametrize("name", MODELS)
def test_the_way_back_gives_the_recorded_names(name: str) -> None:
    given = official(name)
    _, report = to_ours(given)
    back = to_official(own(name), packed_attention="moe" not in name)
    assert {*back, *report.dropped} == set(given)


@pytest.mark.parametrize("name", MODELS)
def test_raw_names_become_the_current_ones(name: str) -> None:
    """Dense models differ in the spelling of their attention alone, which `to_ours` takes either way."""
    raw = {theirs: torch.zeros(()).expand(shape) for shape, theirs in recorded(name).values()}
    release = ReleaseFile.from_content({"module": raw})
    assert release.is_raw
    expected, _ = to_ours(official(name))
    ours, report = to_ours(release.tensors)
    assert report.is_complete
    assert {key: tensor.shape for key, tensor in ours.items()} == {key: w.shape for key, w in expected.items()}


def test_a_raw_file_is_told_name_by_name() -> None:
    """All 201 names of a dense file, as they are in it: the spelling of the attention is that of its code base."""
    repeats = [f"visual_embed.{index}" for index in range(6)]
    raw = {theirs: torch.zeros(()).expand(shape) for shape, theirs in recorded("base").values()}
    raw |= dict.fromkeys(repeats, torch.zeros(1))
    conversion = convert_uniperceiver_v1(ReleaseFile.from_content({"module": raw}))
    assert conversion.notes[0] == "dense, names of the earlier DeepSpeed code base (ds), deepspeed file"
    lines = explained(conversion)
    assert sorted(line.split(" ")[0] for line in lines) == sorted(raw)
    assert "encoder.layers.0.attention.self.qkv_proj.weight -> g.layers.0.attention.first.weight" in lines
    assert "visual_embed.0 not used: it repeats what is under video_embed" in lines
    assert len(conversion.report.dropped) == 7
