"""Mask DINO releases: the exact key sets, and the bridges to other shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uniperceiver.config import BackboneConfig, DenoisingConfig, ImageEncoderConfig, ProposalConfig
from uniperceiver.convert.key_rules import KeyMismatchError, our_key
from uniperceiver.convert.mask_dino import convert_mask_dino, load_mask_dino_head, proposal_rules
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.proposals.network import ProposalNetwork
from uniperceiver.model.proposals.pyramid import Pyramid

GOLDEN = Path(__file__).parents[1] / "golden"
RESNET_CHANNELS = (256, 512, 1024, 2048)


def listed(name: str) -> list[tuple[str, tuple[int, ...], torch.dtype]]:
    """The recorded names, shapes and dtypes of a release."""
    entries = json.loads((GOLDEN / f"maskdino_keys_{name}.json").read_text(encoding="utf-8"))
    return [(key, tuple(shape), getattr(torch, dtype)) for key, shape, dtype, _ in entries]


def release(name: str) -> dict[str, Tensor]:
    """Zeros under the recorded names; one zero each, so they take no memory."""
    return {key: torch.zeros((), dtype=dtype).expand(shape) for key, shape, dtype in listed(name)}


def encoder_config(backbone: str = "resnet50", **changes: object) -> ImageEncoderConfig:
    shape: dict[str, object] = {
        "decoder_layers": 9,
        "classes": 80,
        "learned_queries": False,
        "mask_fusion": "identity",
        "denoising": DenoisingConfig(kind="mask_dino"),
    }
    proposals = ProposalConfig(**{**shape, **changes})  # type: ignore[arg-type]
    return ImageEncoderConfig(backbone=BackboneConfig(name=backbone), proposals=proposals)


SWIN = "swin_large_patch4_window12_384"


@pytest.mark.parametrize(
    ("name", "config", "dropped"),
    [
        ("r50", encoder_config(), 1),
        ("swinl", encoder_config(SWIN, finest_stride=4), 1 + 24),  # 24 blocks' relative position index
    ],
)
def test_the_recorded_key_sets_are_accepted_exactly(name: str, config: ImageEncoderConfig, dropped: int) -> None:
    given = release(name)
    weights, report = convert_mask_dino(given, config)
    assert report.is_complete
    assert len(report.dropped) == dropped
    assert len(report.matched) + dropped == len(given)
    with torch.device("meta"):
        encoder = ImageEncoder(config, width=768)
    own = {key for key in encoder.state_dict() if key.startswith(("backbone.", "proposals."))}
    assert set(weights) == own


@pytest.mark.parametrize("name", ["r50", "swinl"])
def test_uni_perceivers_shape_is_reached(name: str) -> None:
    config = encoder_config(
        "resnet50" if name == "r50" else SWIN,
        decoder_layers=6,
        classes=1,
        queries=900,
        learned_queries=True,
        mask_fusion="conv_gn",
    )
    weights, report = convert_mask_dino(release(name), config, fresh_objectness=True)
    assert weights["proposals.encoder.level_codes"].shape == (4, 256)
    assert weights["proposals.heads.objectness.weight"].shape == (1, 256)
    assert weights["proposals.selection.learned"].std().item() == pytest.approx(0.02, rel=0.1)
    assert "sem_seg_head.predictor.class_embed.weight" in report.dropped
    assert "sem_seg_head.predictor.decoder.layers.8.norm1.weight" in report.dropped


def test_another_number_of_classes_is_an_error() -> None:
    with pytest.raises(KeyMismatchError, match=r"heads\.objectness\.weight: given \(80, 256\), expected \(1, 256\)"):
        convert_mask_dino(release("r50"), encoder_config(classes=1))


def test_missing_and_unknown_keys_are_errors() -> None:
    given = release("r50")
    del given["backbone.res4.5.conv3.norm.running_var"]
    given["sem_seg_head.predictor.query_feat.weight"] = torch.zeros(300, 256)
    given["backbone.fc.weight"] = torch.zeros(1)
    with pytest.raises(KeyMismatchError) as error:
        convert_mask_dino(given, encoder_config())
    assert error.value.report.missing == ("backbone.network.layer3.5.bn3.running_var",)
    assert set(error.value.report.surplus) == {"sem_seg_head.predictor.query_feat.weight", "backbone.fc.weight"}


def test_aliases_may_be_absent_but_must_not_disagree() -> None:
    given = release("r50")
    aliases = [key for key in given if key.startswith("sem_seg_head.predictor.bbox_embed.")]
    convert_mask_dino({key: tensor for key, tensor in given.items() if key not in aliases}, encoder_config())
    given[aliases[0]] = torch.ones(given[aliases[0]].shape)
    with pytest.raises(KeyMismatchError, match="1 aliases that differ"):
        convert_mask_dino(given, encoder_config())


def test_something_else_is_an_error() -> None:
    with pytest.raises(KeyMismatchError, match="level_embed"):
        convert_mask_dino({"weight": torch.zeros(1)}, encoder_config())
    nothing = ImageEncoderConfig(backbone=BackboneConfig(name="resnet50"), proposals=None)
    with pytest.raises(ValueError, match=r"image\.proposals is null"):
        convert_mask_dino(release("r50"), nothing)


# --- bridges, on narrow networks with a ResNet's channels ---------------------------------------------------------

NARROW = {"width": 32, "heads": 2, "points": 2, "feedforward": 16, "mask_width": 8, "queries": 6, "encoder_layers": 1}


def narrow_release(network: ProposalNetwork, levels: int) -> dict[str, Tensor]:
    """A release whose heads are the weights of ``network``, on a ResNet of zeros."""
    given = {key: tensor for key, tensor in release("r50").items() if key.startswith("backbone.")}
    own, rules = network.state_dict(), proposal_rules(levels)
    for key, _, _ in listed("r50" if levels == 4 else "swinl"):
        if key.startswith("sem_seg_head.") and our_key(key, rules) in own:
            given[key] = own[str(our_key(key, rules))]
    assert len({our_key(key, rules) for key in given if key.startswith("sem_seg_head.")}) == len(own)
    return given


def narrow_network(config: ImageEncoderConfig) -> ProposalNetwork:
    assert config.proposals is not None
    network = ProposalNetwork(config.proposals, RESNET_CHANNELS)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


def converted(network: ProposalNetwork, levels: int, config: ImageEncoderConfig) -> ProposalNetwork:
    assert config.proposals is not None
    weights, _ = convert_mask_dino(narrow_release(network, levels), config)
    out = ProposalNetwork(config.proposals, RESNET_CHANNELS)
    prefix = "proposals."
    out.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    return out.eval()


def maps(side: int) -> list[Tensor]:
    return [torch.randn(1, c, side // s, side // s) for c, s in zip(RESNET_CHANNELS, (4, 8, 16, 32), strict=True)]


@pytest.mark.parametrize(("levels", "finest_stride"), [(4, 8), (5, 4)])
def test_a_head_is_loaded_whole_or_by_halves(levels: int, finest_stride: int) -> None:
    config = encoder_config(**NARROW, finest_stride=finest_stride)
    network = narrow_network(config)
    prefix = "sem_seg_head."
    release = {k.removeprefix(prefix): v for k, v in narrow_release(network, levels).items() if k.startswith(prefix)}
    whole, halves = narrow_network(config), narrow_network(config)
    assert load_mask_dino_head(whole, release).is_complete
    before = halves.state_dict()["encoder.level_codes"].clone()
    for part in ("predictor", "pixel_decoder"):
        assert torch.equal(halves.encoder.level_codes, before)
        half = {k.removeprefix(f"{part}."): v for k, v in release.items() if k.startswith(f"{part}.")}
        load_mask_dino_head(halves, half, part=f"sem_seg_head.{part}")  # type: ignore[arg-type]
    for name, tensor in network.state_dict().items():
        assert torch.equal(whole.state_dict()[name], tensor)
        assert torch.equal(halves.state_dict()[name], tensor)


def test_a_half_must_be_complete_and_nothing_else() -> None:
    network = narrow_network(encoder_config(**NARROW))
    before = network.heads.objectness.bias.clone()
    tensors = {"class_embed.bias": torch.zeros(80), "mask_features.weight": torch.zeros(8, 32, 1, 1)}
    with pytest.raises(KeyMismatchError, match=r"surplus.*sem_seg_head\.predictor\.mask_features\.weight") as error:
        load_mask_dino_head(network, tensors, part="sem_seg_head.predictor")
    assert "heads.objectness.weight" in error.value.report.missing
    assert not any(key.startswith("encoder.") for key in error.value.report.missing)
    assert torch.equal(network.heads.objectness.bias, before)


@torch.no_grad()
def test_fewer_layers_are_the_first_ones() -> None:
    torch.manual_seed(0)
    three = narrow_network(encoder_config(**NARROW, decoder_layers=3))
    two = converted(three, 4, encoder_config(**NARROW, decoder_layers=2))
    features = maps(64)
    torch.testing.assert_close(two(features).final.boxes, three(features).stages[2].boxes)


@torch.no_grad()
def test_four_levels_from_five_are_the_five_without_looking_at_the_first() -> None:
    torch.manual_seed(0)
    five = narrow_network(encoder_config(**NARROW, decoder_layers=2, finest_stride=4))
    layers = [(layer.attention, 0) for layer in five.encoder.layers]
    layers += [(layer.cross_attention, -1) for layer in five.decoder.layers]
    for attention, level in layers:
        attention.weights.bias.view(2, 5, 2)[:, level] = -1e9
    four = converted(five, 5, encoder_config(**NARROW, decoder_layers=2))
    features = maps(64)
    with_stride_4, without = five.encoder(features), four.encoder(features)
    torch.testing.assert_close(with_stride_4.tokens[:, 16 * 16 :], without.tokens)

    content, boxes = torch.randn(1, 6, 32), torch.randn(1, 6, 4)
    seen = five.decoder(content, boxes, with_stride_4.reversed(), five.heads)
    expected = four.decoder(content, boxes, without.reversed(), four.heads)
    torch.testing.assert_close(seen.semantics, expected.semantics)


@torch.no_grad()
def test_a_new_h_starts_nearer_the_identity_than_a_random_one() -> None:
    torch.manual_seed(0)
    plain = narrow_network(encoder_config(**NARROW, decoder_layers=1))
    fused_config = encoder_config(**NARROW, decoder_layers=1, mask_fusion="conv_gn")
    assert fused_config.proposals is not None
    fused = converted(plain, 4, fused_config)
    features = maps(256)
    encoded: Pyramid = plain.encoder(features)
    finest = encoded.maps()[0]
    random = ProposalNetwork(fused_config.proposals, RESNET_CHANNELS)
    started, fresh = (
        ((network.mask_features.encoded(finest) - finest).std() / finest.std()).item() for network in (fused, random)
    )
    assert started < 0.5 < 1 < fresh
