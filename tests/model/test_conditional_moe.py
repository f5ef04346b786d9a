"""Routing, merging, keeping and folding of experts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from uniperceiver.config import MoEConfig
from uniperceiver.model.conditional_moe import (
    AttributeGate,
    ConditionalPair,
    LinearPair,
    LinearWeights,
    apply_by_stream,
)

A, B = (1, 1, 0, 1, 1, 0, 0, 0), (1, 1, 0, 1, 0, 1, 0, 1)


def make_pair(**settings: float) -> ConditionalPair:
    torch.manual_seed(0)
    return ConditionalPair(8, 12, 12, MoEConfig(**settings)).eval()


def test_gate_is_the_renormalised_top_of_a_softmax() -> None:
    gate = AttributeGate(8, MoEConfig()).eval()
    routing = gate([A, B])
    logits = F.linear(F.layer_norm(gate.embed(torch.tensor([A, B]).float()), (8,)), gate.wg.weight)
    top = logits.softmax(-1).sort(descending=True)
    assert torch.equal(routing.experts, top.indices[:, :2])
    torch.testing.assert_close(routing.gates, top.values[:, :2] / top.values[:, :2].sum(-1, keepdim=True))


def test_noise_moves_the_gate_only_in_training() -> None:
    gate = AttributeGate(8, MoEConfig())
    assert torch.equal(gate.eval()([A]).gates, gate([A]).gates)
    assert not torch.equal(gate.train()([A]).gates, gate([A]).gates)
    quiet = AttributeGate(8, MoEConfig(noise=0.0)).train()
    assert torch.equal(quiet([A]).gates, quiet([A]).gates)


def test_noise_has_the_standard_deviation_of_one_over_experts() -> None:
    gate = AttributeGate(8, MoEConfig(experts=4, top_k=4)).train()
    gates = gate([A] * 20000)
    logits = torch.zeros_like(gates.gates).scatter(1, gates.experts, gates.gates.log())
    spread = (logits - logits.mean(1, keepdim=True)).std(0) / (1 - 1 / 4) ** 0.5
    torch.testing.assert_close(spread, torch.full((4,), 1 / 4), atol=0.005, rtol=0)


def test_gate_stays_in_float32_under_autocast() -> None:
    gate = AttributeGate(64, MoEConfig()).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gate([A, B])
    assert inside.gates.dtype == torch.float32
    assert torch.equal(inside.gates, gate([A, B]).gates)


def test_merging_weights_equals_mixing_outputs() -> None:
    pair, x = make_pair(), torch.randn(2, 5, 8)
    routing = pair.gate([A])
    first = pair.weights([A])[0].first
    expected = sum(
        g * pair.first.experts[e](x) for e, g in zip(routing.experts[0].tolist(), routing.gates[0], strict=True)
    )
    torch.testing.assert_close(F.linear(x, *first), expected)


def test_second_map_follows_the_decision_of_the_first_also_with_noise() -> None:
    pair = make_pair(experts=4, top_k=1).train()
    for _ in range(20):
        first, second = pair.weights([A])[0]
        chosen = [torch.equal(first.weight, expert.weight) for expert in pair.first.experts]
        assert chosen == [torch.equal(second.weight, expert.weight) for expert in pair.second.experts]
        assert sum(chosen) == 1


def test_streams_of_the_same_bits_share_one_decision() -> None:
    weights = make_pair().train().weights([A, B, A])
    assert weights[0].first.weight is weights[2].first.weight
    assert not torch.equal(weights[0].first.weight, weights[1].first.weight)


def test_gradients_reach_the_chosen_experts_and_the_gate_and_no_other() -> None:
    pair = make_pair()
    (first, second) = pair.weights([A])[0]
    (F.linear(F.linear(torch.randn(3, 8), *first), *second).square().sum()).backward()
    chosen = set(pair.gate([A]).experts[0].tolist())
    for linear in (pair.first, pair.second):
        for index, expert in enumerate(linear.experts):
            assert (expert.weight.grad is not None) == (index in chosen)
            assert (expert.bias.grad is not None) == (index in chosen)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in pair.gate.parameters())


def test_merged_weights_are_kept_in_evaluation_only() -> None:
    pair = make_pair()
    with torch.no_grad():
        kept = pair.weights([A])[0].first.weight
        assert pair.weights([B, A])[1].first.weight is kept
        assert pair.train().weights([A])[0].first.weight is not kept
        assert pair.eval().weights([A])[0].first.weight is not kept
    assert pair.weights([A])[0].first.weight.requires_grad


@pytest.mark.parametrize("name", ["first.experts.0.weight", "second.experts.1.bias", "gate.wg.weight"])
@pytest.mark.parametrize("change", ["in place", "load", "type"])
def test_kept_weights_follow_changes_of_any_parameter(name: str, change: str) -> None:
    pair = make_pair(experts=2)
    with torch.no_grad():
        before = pair.weights([A])[0]
        if change == "in place":
            pair.get_parameter(name).add_(torch.randn(pair.get_parameter(name).shape))
        elif change == "load":
            state = pair.state_dict()
            pair.load_state_dict({**state, name: torch.randn_like(state[name])})
        else:
            pair.double()
        after = pair.weights([A])[0]
    same = [torch.equal(a, b) for a, b in zip((*before[0], *before[1]), (*after[0], *after[1]), strict=True)]
    assert not all(same)
    fresh = pair.weights([A])[0]
    torch.testing.assert_close(after, fresh)


def test_kept_weights_follow_an_optimiser() -> None:
    pair = make_pair()
    optimiser = torch.optim.AdamW(pair.parameters(), lr=0.1, foreach=True)
    with torch.no_grad():
        before = pair.weights([A])[0].first.weight.clone()
    pair.weights([A])[0].first.weight.square().sum().backward()
    optimiser.step()
    with torch.no_grad():
        after = pair.weights([A])[0].first.weight
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, pair.weights([A])[0].first.weight)


def test_works_in_inference_mode() -> None:
    with torch.inference_mode():
        pair = make_pair()
        first, again = pair.weights([A])[0].first, pair.weights([A])[0].first
    assert first.weight is again.weight


def test_folded_pair_equals_the_experts() -> None:
    pair = make_pair()
    folded = pair.fold([A, B])
    for ours, theirs in zip(folded.weights([B, A]), pair.weights([B, A]), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)
    assert sum(p.numel() for p in folded.parameters()) == 2 * pair.folded_size()


def test_folded_pair_refuses_other_bits() -> None:
    with pytest.raises(KeyError, match=r"folded for the routing bits 11011000, not for 11010101"):
        make_pair().fold([A]).weights([B])


def test_folding_with_noise_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"call \.eval\(\) first"):
        make_pair().train().fold([A])


def test_dense_pair_has_one_entry_for_all_streams() -> None:
    pair = LinearPair(8, 12, 12)
    (only,) = pair.weights([A, B])
    assert only.first.weight is pair.first.weight


def test_apply_by_stream_keeps_order_and_allows_empty_streams() -> None:
    maps = [LinearWeights(torch.eye(2) * factor, torch.zeros(2)) for factor in (1.0, 2.0, 3.0)]
    out = apply_by_stream(torch.ones(1, 3, 2), maps, [1, 0, 2])
    assert out[0, :, 0].tolist() == [1, 3, 3]
