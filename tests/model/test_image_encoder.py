"""f_image, Eq. (1), with a small real network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.batches import ImageBatch
from uniperceiver.config import (
    BackboneConfig,
    DenoisingConfig,
    ImageEncoderConfig,
    ProposalConfig,
)
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.layers.position_encoding import map_position_code

CONFIG = ImageEncoderConfig(
    backbone=BackboneConfig(name="resnet10t"),
    proposals=ProposalConfig(
        width=32,
        heads=4,
        points=2,
        encoder_layers=1,
        decoder_layers=2,
        feedforward=48,
        mask_width=16,
        queries=12,
        kept=8,
        denoising=DenoisingConfig(queries=8, categories=10),
    ),
    attention_pools=2,
)
WIDTH = 40


def encoder(config: ImageEncoderConfig = CONFIG) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(config, WIDTH).eval()


def images(batch: int, height: int, width: int, seed: int = 1) -> ImageBatch:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(batch, 3, height, width, generator=generator)
    return ImageBatch(pixels, torch.zeros(batch, height, width, dtype=torch.bool))


def gradient_reaches(parameters: list[Tensor]) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters)


@torch.no_grad()
def test_equation_1_is_global_then_regional_tokens():
    network = encoder()
    features = network(images(2, 64, 96))
    assert features.segment.tokens.shape == (2, 2 + 2 * 3 + 8, WIDTH)
    assert features.segment.modality == "image"
    assert features.segment.positions is None
    assert features.regions == slice(8, 16)
    perception = network.propose(images(2, 64, 96))
    assert perception.global_tokens is not None
    torch.testing.assert_close(features.segment.tokens[:, :8], perception.global_tokens)


@torch.no_grad()
def test_regions_are_the_top_of_objectness_in_order():
    network = encoder()
    perception = network.propose(images(2, 64, 64))
    features = network.represent(perception)
    kept = features.proposals
    assert kept is not None
    assert perception.objectness is not None
    assert perception.fused is not None
    assert perception.output is not None
    expected = perception.objectness.sort(dim=1, descending=True)
    torch.testing.assert_close(kept.objectness, expected.values[:, :8])
    for image in range(2):
        rows = expected.indices[image, :8]
        torch.testing.assert_close(kept.boxes[image], perception.output.final.boxes[image, rows])
        tokens = network.region_tokens.projection(perception.fused[image, rows])
        torch.testing.assert_close(features.segment.tokens[image, features.regions], tokens)


@torch.no_grad()
def test_matched_proposals_are_kept():
    network = encoder()
    perception = network.propose(images(1, 64, 64))
    assert perception.objectness is not None
    worst = perception.objectness.argsort(dim=1)[:, :3]
    must_keep = torch.zeros_like(perception.objectness, dtype=torch.bool).scatter_(1, worst, True)
    kept = network.represent(perception, must_keep).proposals
    assert kept is not None
    assert set(worst[0].tolist()) == set(kept.index[0, :3].tolist())


def test_other_tasks_teach_the_proposal_network_through_semantics_only():
    network = encoder().train()
    network(images(2, 64, 64)).segment.tokens.square().sum().backward()
    heads = dict(network.proposals.heads.named_parameters())
    boxes_and_masks = [p for name, p in heads.items() if "box" in name or "mask" in name]
    assert boxes_and_masks
    assert not gradient_reaches(boxes_and_masks)
    assert not gradient_reaches(list(network.region_tokens.objectness_head.parameters()))
    assert gradient_reaches(list(network.proposals.encoder.parameters()))
    assert gradient_reaches(list(network.backbone.parameters()))


def test_detection_alone_may_teach_the_proposal_network():
    assert CONFIG.proposals is not None
    network = encoder(replace(CONFIG, proposals=replace(CONFIG.proposals, taught_by="detection"))).train()
    tokens = network(images(2, 64, 64)).segment.tokens
    torch.testing.assert_close(tokens, encoder().train()(images(2, 64, 64)).segment.tokens, rtol=0, atol=0)
    tokens.square().sum().backward()
    assert network.proposals is not None
    assert network.region_tokens is not None
    own = [*network.proposals.parameters(), *network.region_tokens.box_projection.parameters()]
    assert not gradient_reaches(own)
    assert gradient_reaches(list(network.backbone.parameters()))
    assert gradient_reaches(list(network.region_tokens.projection.parameters()))
    network.represent(network.propose(images(2, 64, 64))).segment.tokens.square().sum().backward()
    assert gradient_reaches(own)


@torch.no_grad()
def test_a_batch_gives_what_its_images_give_alone():
    network = encoder()
    batch = images(3, 64, 64)
    together = network(batch).segment.tokens
    for index in range(3):
        one = ImageBatch(batch.pixels[index : index + 1], batch.is_padding[index : index + 1])
        torch.testing.assert_close(network(one).segment.tokens[0], together[index], rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(32, 32), (400, 30), (33, 47), (1, 1)])
def test_pictures_of_any_size(height: int, width: int):
    picture = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    features = encoder()(ImageBatch.from_images([picture], (0.5,) * 3, (0.5,) * 3))
    assert features.segment.tokens.isfinite().all()
    assert features.proposals is not None
    assert features.proposals.index.shape[1] <= 8


@torch.no_grad()
def test_sizes_that_are_no_multiple_of_32_are_taken_as_they_are():
    features = encoder()(images(1, 50, 70))
    assert features.segment.tokens.shape == (1, 2 + 2 * 3 + 8, WIDTH)


@torch.no_grad()
def test_small_pictures_have_fewer_proposals_than_queries():
    few = replace(CONFIG, proposals=replace(CONFIG.proposals, queries=100, kept=90))
    features = encoder(few)(images(1, 32, 32))
    assert features.proposals is not None
    assert features.proposals.index.shape[1] == 4 * 4 + 2 * 2 + 1 + 1


@torch.no_grad()
def test_padding_marks_the_global_tokens_it_covers():
    network = encoder()
    alone = images(1, 64, 64)
    pixels = torch.zeros(1, 3, 64, 128)
    pixels[..., :64] = alone.pixels
    is_padding = torch.ones(1, 64, 128, dtype=torch.bool)
    is_padding[..., :64] = False
    padded = network(ImageBatch(pixels, is_padding)).segment
    expected = torch.tensor([False] * 2 + [False, False, True, True] * 2 + [False] * 8)
    assert padded.is_padding[0].tolist() == expected.tolist()
    assert padded.tokens.isfinite().all()


@torch.no_grad()
def test_global_tokens_alone():
    network = encoder(replace(CONFIG, proposals=None))
    features = network(images(2, 64, 64))
    assert features.proposals is None
    assert features.regions == slice(6, 6)
    assert features.segment.tokens.shape == (2, 2 + 4, WIDTH)


@torch.no_grad()
def test_region_tokens_alone():
    network = encoder(replace(CONFIG, global_tokens=False))
    features = network(images(2, 64, 64))
    assert features.segment.tokens.shape == (2, 8, WIDTH)
    assert features.regions == slice(0, 8)


def test_no_tokens_at_all_is_refused():
    with pytest.raises(ValueError, match="an image would have no tokens"):
        encoder(replace(CONFIG, global_tokens=False, proposals=None))


def test_finer_maps_in_the_global_tokens():
    """Odd sizes too: a cell of the last map stands beside the mean of what it covers in the finer ones."""
    network = encoder(replace(CONFIG, global_maps=3, attention_pools=0, proposals=None))
    batch = images(2, 96, 160)
    with torch.no_grad():
        maps = network.backbone(batch.pixels)[-3:]
        tokens = network(batch).segment.tokens
    assert [tuple(m.shape[2:]) for m in maps] == [(12, 20), (6, 10), (3, 5)]
    assert tokens.shape == (2, 15, WIDTH)
    assert network.global_tokens is not None
    beside = torch.cat(
        [maps[0][:, :, 4:8, 8:12].mean((2, 3)), maps[1][:, :, 2:4, 4:6].mean((2, 3)), maps[2][:, :, 1, 2]], 1
    )
    place = (
        network.global_tokens(torch.zeros(1, beside.shape[1], 3, 5))[0][0, 7] - network.global_tokens.projection.bias
    )
    torch.testing.assert_close(tokens[:, 7], network.global_tokens.projection(beside) + place)
    assert network(images(1, 72, 40)).segment.tokens.shape[1] == 3 * 2


def test_pools_may_see_finer_maps_than_those_that_are_flattened():
    network = encoder(replace(CONFIG, pooled_maps=3, attention_pools=2, proposals=None)).eval()
    batch = images(2, 96, 160)
    with torch.no_grad():
        maps = network.backbone(batch.pixels)[-3:]
        tokens = network(batch).segment.tokens
        assert network.global_tokens is not None
        assert network.global_tokens.pools is not None
        cells = F.adaptive_avg_pool2d(maps[0], (3, 5)), F.adaptive_avg_pool2d(maps[1], (3, 5)), maps[2]
        seen = torch.cat(cells, dim=1).flatten(2).transpose(1, 2)
        code = map_position_code(torch.zeros(2, 3, 5, dtype=torch.bool), seen.shape[2]).flatten(1, 2)
        torch.testing.assert_close(tokens[:, :2], network.global_tokens.pools(seen, code))
        last = network.global_tokens.projection(maps[2].flatten(2).transpose(1, 2))
        place = map_position_code(torch.zeros(2, 3, 5, dtype=torch.bool), WIDTH).flatten(1, 2)
        torch.testing.assert_close(tokens[:, 2:], last + place)


def test_pools_see_at_least_what_is_flattened():
    with pytest.raises(ValueError, match="pooled_maps 1 must be at least global_maps, 2"):
        replace(CONFIG, global_maps=2, pooled_maps=1)
    with pytest.raises(ValueError, match=r"image\.pooled_maps is 9"):
        encoder(replace(CONFIG, pooled_maps=9))


def test_more_maps_than_the_backbone_has_are_refused():
    with pytest.raises(ValueError, match=r"image\.global_maps is 9"):
        encoder(replace(CONFIG, global_maps=9))
