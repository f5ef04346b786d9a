"""The decoder: padding, denoising slots and gradients."""

from __future__ import annotations

import torch

from uniperceiver.model.proposals.pyramid import Pyramid


def test_hidden_states_equal_the_recorded_ones(recorded_network, training) -> None:
    network = recorded_network(5)
    memory = Pyramid.from_maps([training[f"in/nomask/multi_scale/{i}"] for i in (3, 2, 1, 0)])
    internal = {key.removeprefix("out/internal/"): tensor for key, tensor in training.items()}
    decoded = network.decoder(internal["tgt0"], internal["ref0_unsig"], memory, network.heads, internal["attn_mask"])
    torch.testing.assert_close(decoded.semantics, internal["hs/2"], rtol=1e-4, atol=1e-4)


def test_content_of_padding_changes_nothing(tiny_network) -> None:
    is_padding = torch.zeros(1, 64, 64, dtype=torch.bool)
    is_padding[:, 32:] = True
    memory = Pyramid.from_maps([torch.randn(1, 32, side, side) for side in (1, 2, 4, 8)], is_padding)
    assert memory.is_padding is not None
    noise = torch.randn_like(memory.tokens)
    other = memory.with_tokens(torch.where(memory.is_padding[..., None], noise, memory.tokens))
    mask_features = torch.randn(1, 16, 16, 16)
    first = tiny_network.decode(memory, mask_features, is_padding)
    second = tiny_network.decode(other, mask_features, is_padding)
    assert torch.equal(first.semantics, second.semantics)
    assert torch.equal(first.final.boxes, second.final.boxes)


def test_matching_queries_do_not_see_blocked_slots(tiny_network) -> None:
    memory = Pyramid.from_maps([torch.randn(1, 32, side, side) for side in (1, 2, 4, 8)])
    content, boxes = torch.randn(1, 6, 32), torch.randn(1, 6, 4)
    is_blocked = torch.zeros(6, 6, dtype=torch.bool)
    is_blocked[2:, :2] = True
    alone = tiny_network.decoder(content[:, 2:], boxes[:, 2:], memory, tiny_network.heads)
    joined = tiny_network.decoder(content, boxes, memory, tiny_network.heads, is_blocked)
    torch.testing.assert_close(joined.semantics[:, 2:], alone.semantics)


def test_references_are_detached_but_reported_boxes_look_forward_twice(tiny_network) -> None:
    memory = Pyramid.from_maps([torch.randn(1, 32, side, side) for side in (1, 2, 4, 8)])
    torch.nn.init.normal_(tiny_network.heads.box.layers[-1].weight)
    content = torch.randn(1, 3, 32, requires_grad=True)
    boxes = torch.randn(1, 3, 4, requires_grad=True)
    decoded = tiny_network.decoder(content, boxes, memory, tiny_network.heads)
    (gradient,) = torch.autograd.grad(decoded.stages[1].boxes.sum(), boxes, retain_graph=True)
    assert gradient.abs().sum() > 0  # through the box that is refined
    (gradient,) = torch.autograd.grad(decoded.semantics.sum(), boxes, allow_unused=True)
    assert gradient is None  # not through where layers look
