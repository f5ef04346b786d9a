"""Region tokens: Eq. (2) and (9), and the choice of the top O."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.model import region_tokens
from uniperceiver.model.layers.position_encoding import box_position_code
from uniperceiver.model.region_tokens import RegionTokens, best_proposals, pooled_masks


def proposals(batch: int = 2, queries: int = 5, width: int = 32, height: int = 40) -> tuple[Tensor, ...]:
    """Random semantics, boxes, mask embeddings and mask features, all with gradient."""
    torch.manual_seed(0)
    semantics, boxes = torch.randn(batch, queries, width), torch.rand(batch, queries, 4)
    embeddings, features = torch.randn(batch, queries, 8), torch.randn(batch, 8, height, 56)
    return tuple(x.requires_grad_() for x in (semantics, boxes, embeddings, features))


def test_equation_9_adds_semantics_box_and_mask():
    regions = RegionTokens(32, 24)
    semantics, boxes, embeddings, features = proposals()
    masks = torch.einsum("bqc,bchw->bqhw", embeddings, features).sigmoid()
    areas = F.adaptive_avg_pool2d(masks, 28).flatten(2)
    expected = semantics + regions.box_projection(box_position_code(boxes, 16)) + regions.mask_projection(areas)
    torch.testing.assert_close(regions(semantics, boxes, embeddings, features), expected)


def test_equation_9_detaches_boxes_and_masks():
    regions = RegionTokens(32, 24)
    semantics, boxes, embeddings, features = proposals()
    fused = regions(semantics, boxes, embeddings, features)
    (fused.square().sum() + regions.objectness(fused, torch.zeros(fused.shape[:2])).sum()).backward()
    assert semantics.grad is not None
    assert boxes.grad is None
    assert embeddings.grad is None
    assert features.grad is None
    assert regions.box_projection.weight.grad is not None
    assert regions.mask_projection.weight.grad is not None


def test_masks_are_pooled_in_chunks_without_a_difference(monkeypatch: pytest.MonkeyPatch):
    _, _, embeddings, features = proposals()
    whole = pooled_masks(embeddings, features)
    monkeypatch.setattr(region_tokens, "_CHUNK", 2 * 2 * 40 * 56)
    torch.testing.assert_close(pooled_masks(embeddings, features), whole)
    monkeypatch.setattr(region_tokens, "_CHUNK", 1)
    torch.testing.assert_close(pooled_masks(embeddings, features), whole)


def test_masks_are_pooled_on_the_picture_and_not_on_its_padding():
    _, _, embeddings, features = proposals()
    pooled = pooled_masks(embeddings, features, [(40, 56), (30, 28)])
    torch.testing.assert_close(pooled[:1], pooled_masks(embeddings[:1], features[:1]))
    torch.testing.assert_close(pooled[1:], pooled_masks(embeddings[1:], features[1:, :, :30, :28]))


def test_maps_smaller_than_28_are_pooled_too():
    pooled = pooled_masks(torch.ones(1, 1, 4), torch.zeros(1, 4, 8, 3))
    torch.testing.assert_close(pooled, torch.full((1, 1, 784), 0.5))


def test_objectness_starts_as_the_proposal_network_says():
    regions = RegionTokens(32, 24)
    proposed = torch.randn(2, 5)
    assert torch.equal(regions.objectness(torch.randn(2, 5, 32), proposed), proposed)


def test_objectness_adds_a_head_on_the_normed_fused_vector():
    """A15: what the network says, and a LayerNorm and a Linear beside it."""
    regions = RegionTokens(32, 24)
    nn.init.normal_(regions.objectness_head.weight)
    nn.init.constant_(regions.objectness_head.bias, 0.5)
    fused, proposed = 3 + torch.randn(2, 5, 32), torch.randn(2, 5)
    head = F.layer_norm(fused, (32,)) @ regions.objectness_head.weight[0] + 0.5
    torch.testing.assert_close(regions.objectness(fused, proposed), proposed + head)


def test_objectness_is_not_rounded_under_autocast():
    regions = RegionTokens(32, 24)
    nn.init.normal_(regions.objectness_head.weight)
    fused, proposed = torch.randn(1, 200, 32), torch.randn(1, 200)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = regions.objectness(fused, proposed)
    assert torch.equal(cast, regions.objectness(fused, proposed))


def test_top_proposals_come_best_first():
    index = best_proposals(torch.tensor([[0.1, 3.0, -2.0, 1.0], [5.0, 4.0, 3.0, 6.0]]), 3)
    assert index.tolist() == [[1, 3, 0], [3, 0, 1]]


def test_matched_proposals_are_forced_into_the_top():
    objectness = torch.tensor([[0.1, 3.0, -20.0, 1.0], [5.0, 4.0, 3.0, 6.0]])
    must_keep = torch.tensor([[False, False, True, False], [False, False, True, True]])
    assert best_proposals(objectness, 2, must_keep).tolist() == [[2, 1], [3, 2]]


def test_more_forced_proposals_than_places_keeps_the_best_of_them():
    assert best_proposals(torch.tensor([[1.0, 9.0, 2.0]]), 1, torch.tensor([[True, False, True]])).tolist() == [[2]]


def test_fewer_proposals_than_places_keeps_all():
    assert best_proposals(torch.tensor([[1.0, 2.0]]), 200).tolist() == [[1, 0]]
