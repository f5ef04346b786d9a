"""Which tokens become queries, against recorded Mask DINO values."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from uniperceiver.model.proposals.pyramid import Pyramid, valid_ratio
from uniperceiver.model.proposals.query_selection import grid_boxes_unsigmoid

GOLDEN = Path(__file__).parents[2] / "golden"


def recorded_memory() -> tuple[Pyramid, dict[str, torch.Tensor]]:
    values = load_file(GOLDEN / "maskdino_proposals.safetensors")
    shapes = tuple((int(h), int(w)) for h, w in values["in/spatial_shapes"])
    parts = values["in/padding_mask"].split([h * w for h, w in shapes], dim=1)
    ratios = [valid_ratio(part.unflatten(1, shape)) for part, shape in zip(parts, shapes, strict=True)]
    return Pyramid(values["in/memory"], shapes, values["in/padding_mask"], torch.stack(ratios, dim=1)), values


def test_grid_boxes_equal_the_recorded_ones() -> None:
    memory, values = recorded_memory()
    boxes, is_valid = grid_boxes_unsigmoid(memory)
    torch.testing.assert_close(boxes, values["out/proposals_unsigmoid"], rtol=1e-4, atol=1e-4)
    assert torch.equal(memory.tokens.masked_fill(~is_valid[..., None], 0), values["out/memory"])


def test_the_finest_map_has_the_largest_boxes() -> None:
    memory = Pyramid.from_maps([torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4)])
    boxes, is_valid = grid_boxes_unsigmoid(memory)
    assert is_valid.all()
    torch.testing.assert_close(boxes.sigmoid()[0, [0, 1, 5], 2:], torch.tensor([[0.05], [0.1], [0.2]]).expand(-1, 2))


def test_selection_equals_the_recorded_one(recorded_network, decoder_k5, features, pixel_decoder) -> None:
    network = recorded_network(5)
    for variant, is_padding in (("nomask_no", None), ("mask_no", pixel_decoder["in/image_padding_mask"])):
        memory = network.encoder(features, is_padding).reversed()
        selected = network.selection(memory, network.heads)
        assert torch.equal(selected.index, decoder_k5[f"out/{variant}/topk_indices"])


def test_learned_queries_are_added_by_rank(tiny_network, make_features) -> None:
    memory = tiny_network.encoder(make_features(2, 64, 64)).reversed()
    selected = tiny_network.selection(memory, tiny_network.heads)
    content = tiny_network.selection.content(selected)
    torch.testing.assert_close(content, selected.features + tiny_network.selection.learned)
    content.sum().backward()
    assert tiny_network.selection.learned.grad.eq(2).all()
    assert tiny_network.selection.project.weight.grad is None  # the features are detached


def test_fewer_tokens_than_queries(tiny_network, make_features) -> None:
    memory = tiny_network.encoder(make_features(1, 16, 16)).reversed()  # 2x2, 1x1, 1x1, 1x1
    selected = tiny_network.selection(memory, tiny_network.heads)
    assert selected.index[0].sort().values.tolist() == list(range(7))
    assert tiny_network.selection.content(selected).shape == (1, 7, 32)
