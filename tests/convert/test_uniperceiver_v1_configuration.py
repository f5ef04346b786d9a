"""What the tensors of a v1 file imply where it is none of the four released models, and files that imply nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import pytest
import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import ModelConfig, MoEConfig, TemperatureGroup, WordEmbeddingConfig
from uniperceiver.convert.uniperceiver_v1 import (
    Conversion,
    V1Options,
    convert_uniperceiver_v1,
    folded,
    to_uniperceiver_v1,
)
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.convert.uniperceiver_v1_keys import TYPE
from uniperceiver.load_report import KeyMismatchError
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver

CAPTION = TaskAttributes(input_image=True, input_text=True)
PLACES = "video_embed.embeddings_st_pos.{}_pos_embed.weight"


@pytest.fixture
def config(tiny_v1_config: ModelConfig) -> ModelConfig:
    """Of a v1 of four layers and the official eleven temperatures; as in its files <SPE> is the last word."""
    assert isinstance(tiny_v1_config.text, WordEmbeddingConfig)
    text = replace(tiny_v1_config.text, spe_id=tiny_v1_config.text.vocabulary_size - 1)
    decoder = replace(tiny_v1_config.decoder, layers=4, layer_scale=1e-3)
    return replace(tiny_v1_config, text=text, decoder=decoder, temperatures=get_args(TemperatureGroup))


def model_of(config: ModelConfig, moe: MoEConfig | None = None) -> UniPerceiver:
    torch.manual_seed(0)
    model = UniPerceiver(replace(config, decoder=replace(config.decoder, moe=moe))).eval()
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, std=0.3) if "log_inverse" not in name else None
    return model


def converted(tensors: dict[str, Tensor], options: V1Options | None = None) -> Conversion:
    return convert_uniperceiver_v1(ReleaseFile.from_content(tensors), options or V1Options(heads=2))


@torch.no_grad()
def captions(model: UniPerceiver) -> Tensor:
    """Read-outs of a picture and a text about it: all three streams of captioning are in them."""
    torch.manual_seed(1)
    images = ImageBatch(torch.randn(1, 3, 32, 32), torch.zeros(1, 32, 32, dtype=torch.bool))
    text = TextBatch.with_slot_per_word([[5, 6, 7]], 0, 4)
    decoded = model.decode(model.encode_image(images).segment, model.encode_text(text), attributes=CAPTION)
    words = model.summary(model.encode_text(TextBatch.from_ids([[5, 3]], 0)), attributes=CAPTION, side="target")
    return torch.cat([decoded.spe, decoded.segments[0][0], decoded.segments[1][0], words])


@pytest.mark.parametrize(("layers", "having"), [("all", {0, 1, 2, 3}), ("even", {0, 2}), ("odd", {1, 3})])
@pytest.mark.parametrize("in_attention", [True, False])
@torch.no_grad()
def test_experts_may_be_in_other_layers(
    layers: Literal["all", "even", "odd"], having: set[int], in_attention: bool, config: ModelConfig
) -> None:
    moe = MoEConfig(3, layers=layers, in_attention=in_attention, targets_have_image_bit=True)
    model = model_of(config, moe)
    tensors = to_uniperceiver_v1(model, {})
    assert {int(name.split(".")[2]) for name in tensors if ".linear1.experts." in name} == having
    assert any(".self_attn.qkv_proj.experts." in name for name in tensors) == in_attention
    found = converted(tensors).model
    assert found.config.decoder.moe == moe
    assert torch.equal(captions(found), captions(model))
    torch.testing.assert_close(captions(folded(found)), captions(model), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_single_expert_is_always_taken(config: ModelConfig) -> None:
    model = model_of(config, MoEConfig(1, 1, layers="even", in_attention=True, targets_have_image_bit=True))
    assert torch.equal(captions(converted(to_uniperceiver_v1(model, {})).model), captions(model))


def test_layers_may_lack_their_scale(config: ModelConfig) -> None:
    tensors = to_uniperceiver_v1(model_of(replace(config, decoder=replace(config.decoder, layer_scale=None))), {})
    conversion = converted(tensors)
    assert conversion.model.config.decoder.layer_scale is None
    assert "without layer scale" in conversion.notes[0]


def test_experts_in_other_places_are_refused(config: ModelConfig) -> None:
    moe = MoEConfig(3, layers="all", in_attention=True, targets_have_image_bit=True)
    tensors = to_uniperceiver_v1(model_of(config, moe), {})
    without = {name: tensor for name, tensor in tensors.items() if "layers.1" not in name or ".experts." not in name}
    with pytest.raises(ValueError, match=r"attention and the feed_forward of layers 0, 2, 3 of 4: expected .* all"):
        converted(without)
    in_attention = {name: tensor for name, tensor in tensors.items() if "linear" not in name}
    in_attention["fused_encoder.layers.0.linear1.weight"] = torch.zeros(32, 16)
    with pytest.raises(ValueError, match="experts in the attention of layers 0, 1, 2, 3 of 4"):
        converted(in_attention)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("token_embed.embeddings.weight", (9,)),
        ("token_embed.embeddings.weight", (0, 16)),
        ("video_embed.embeddings.weight", (16, 768)),
        (PLACES.format("spatial"), (0, 16)),
        (PLACES.format("temporal"), (0, 16)),
        ("fused_encoder.layers.0.linear1.weight", ()),
        (TYPE, (1, 8)),
    ],
)
def test_shapes_that_imply_nothing_are_named(name: str, shape: tuple[int, ...], config: ModelConfig) -> None:
    tensors = to_uniperceiver_v1(model_of(config), {}) | {TYPE: torch.zeros(1, 16)}
    with pytest.raises(ValueError, match=r"in the file has the shape \(.*\): expected"):
        converted(tensors | {name: torch.zeros(shape)})


@pytest.mark.parametrize("lacking", ["linear1.weight", "logit_scale_caption"])
def test_what_is_missing_is_named(lacking: str, config: ModelConfig) -> None:
    tensors = to_uniperceiver_v1(model_of(config), {})
    ours = {"linear1.weight": r"feed_forward\.first\.weight", "logit_scale_caption": r"temperatures\.caption"}
    with pytest.raises(KeyMismatchError, match=f"missing .*{ours[lacking]}"):
        converted({name: tensor for name, tensor in tensors.items() if not name.endswith(lacking)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (V1Options(heads=3), "width of 16 does not divide into 3 heads"),
        (V1Options(heads=2, image_size=40), "pictures of 40 pixels: give a multiple of the patches' 16"),
        (V1Options(heads=2, image_size=-16), "pictures of -16 pixels"),
        (V1Options(heads=2, frames=0), "0 frames: give at least 1"),
    ],
)
def test_options_that_do_not_fit_are_named(options: V1Options, message: str, config: ModelConfig) -> None:
    with pytest.raises(ValueError, match=message):
        converted(to_uniperceiver_v1(model_of(config), {}), options)
