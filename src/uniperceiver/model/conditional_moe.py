"""Conditional MoE with attribute-level routing: experts are merged in weight space, so a stream of tokens runs dense.

Sec. 4.3 and App. B; spec/uni_perceiver_v1_moe.md, section 6. A *stream* is a run of tokens with the same eight routing
bits (`TaskAttributes.bits`). The gate sees only these bits, never the tokens: with the bits fixed, the experts of a
layer are one plain pair of matrices, which evaluation keeps and deployment has instead of the experts (`fold`).

Paper: "the linearly weighted combination of those selected experts" (Sec. 3) equals a merge of weights for one linear
map but not for a feed-forward with its GELU. As in v1-MoE's code, each map of a pair is merged by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from uniperceiver.config import MoEConfig
from uniperceiver.linear import linear
from uniperceiver.model.segments import Bits

ATTRIBUTES = 8


class LinearWeights(NamedTuple):
    """What one linear map applies."""

    weight: Tensor
    """(out, in)."""
    bias: Tensor
    """(out,)."""


class PairWeights(NamedTuple):
    """What a pair of linear maps applies to one stream."""

    first: LinearWeights
    second: LinearWeights


class LinearPair(nn.Module):
    """Two linear maps of one sub-layer: qkv and output of an attention, or the two of a feed-forward.

    The form without experts. A pair is the unit of routing, since its second map follows the decision of the first.
    """

    def __init__(self, width: int, hidden: int, middle: int) -> None:
        """``width`` -> ``hidden``, then ``middle`` -> ``width``."""
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(middle, width)

    def weights(self, streams: Sequence[Bits]) -> list[PairWeights]:
        """One entry: the same maps for all streams."""
        return [
            PairWeights(
                LinearWeights(self.first.weight, self.first.bias), LinearWeights(self.second.weight, self.second.bias)
            )
        ]


class Routing(NamedTuple):
    """The gate's decision for R streams."""

    experts: Tensor
    """(R, k) int64, most likely first."""
    gates: Tensor
    """(R, k) float32, adding up to one."""


class AttributeGate(nn.Module):
    """Which experts a stream uses: top-k of softmax(wg · LN(Linear(bits))), renormalised."""

    def __init__(self, width: int, config: MoEConfig) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.noise = config.noise / config.experts
        self.embed = nn.Linear(ATTRIBUTES, width)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.wg = nn.Linear(width, config.experts, bias=False)

    def forward(self, streams: Sequence[Bits]) -> Routing:
        """The decision for every stream; in training Gaussian noise on the logits changes choice and weights alike.

        Always float32, also under autocast: near a tie, rounding would choose other experts.
        """
        weight = self.wg.weight
        with torch.autocast(weight.device.type, enabled=False):
            bits = torch.tensor(streams, dtype=weight.dtype, device=weight.device)
            logits = self.wg(self.norm(self.embed(bits))).float()
            if self.training and self.noise > 0:
                logits = logits + self.noise * torch.randn_like(logits)
            gates, experts = logits.softmax(dim=-1).topk(self.top_k, dim=-1)
            return Routing(experts, gates / gates.sum(dim=-1, keepdim=True))


class ConditionalLinear(nn.Module):
    """E linear maps of the same shape, applied as one: W = Σ g_i W_i and b = Σ g_i b_i over the chosen experts."""

    def __init__(self, inputs: int, outputs: int, experts: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(experts))

    def merged(self, experts: Sequence[int], gates: Tensor) -> LinearWeights:
        """The map that ``experts``, k indices, make with ``gates`` (k,). Touches only the chosen experts."""
        chosen = cast("list[nn.Linear]", [self.experts[index] for index in experts])
        gate = gates.to(chosen[0].weight.dtype)
        weight, bias = gate[0] * chosen[0].weight, gate[0] * chosen[0].bias
        for g, expert in zip(gate[1:], chosen[1:], strict=True):
            weight, bias = weight + g * expert.weight, bias + g * expert.bias
        return LinearWeights(weight, bias)


class ConditionalPair(nn.Module):
    """A pair of linear maps whose experts follow one routing decision per stream.

    Without gradients and outside training the merged weights are kept, so evaluation is as quick as a dense network.
    They are made anew when a parameter's version counter, storage or type changes; writing through ``parameter.data``
    escapes that counter, so write to the parameter itself under ``torch.no_grad()``.
    """

    def __init__(self, width: int, hidden: int, middle: int, config: MoEConfig) -> None:
        """``width`` -> ``hidden``, then ``middle`` -> ``width``."""
        super().__init__()
        self.gate = AttributeGate(width, config)
        self.first = ConditionalLinear(width, hidden, config.experts)
        self.second = ConditionalLinear(middle, width, config.experts)
        self._kept: dict[Bits, PairWeights] = {}
        self._kept_state: list[tuple[int, int, torch.dtype]] = []

    def weights(self, streams: Sequence[Bits]) -> list[PairWeights]:
        """The merged maps of each stream, one entry per stream (Sec. 4.3)."""
        must_merge = self.training or torch.is_grad_enabled()
        merged = self._merge(streams) if must_merge else self._kept_or_merged(streams)
        return [merged[bits] for bits in streams]

    def train(self, mode: bool = True) -> Self:
        """Switch the mode; training does not need the kept weights."""
        self._kept.clear()
        return super().train(mode)

    def fold(self, streams: Iterable[Bits]) -> FoldedPair:
        """The maps of the given streams as plain linear maps, without experts and gate. Call it in evaluation mode."""
        if self.training:
            raise RuntimeError(
                "fold needs evaluation mode, because training adds noise to the gates: call .eval() first"
            )
        with torch.no_grad():
            merged = self._merge(tuple(streams))
        return FoldedPair({bits: _linear_pair(weights) for bits, weights in merged.items()})

    def folded_size(self) -> int:
        """Number of parameters of one folded stream."""
        one_expert = (*self.first.experts[0].parameters(), *self.second.experts[0].parameters())
        return sum(parameter.numel() for parameter in one_expert)

    def _merge(self, streams: Sequence[Bits]) -> dict[Bits, PairWeights]:
        distinct = list(dict.fromkeys(streams))
        routing = self.gate(distinct)
        return {
            bits: PairWeights(self.first.merged(experts, gates), self.second.merged(experts, gates))
            for bits, experts, gates in zip(distinct, routing.experts.tolist(), routing.gates, strict=True)
        }

    def _kept_or_merged(self, streams: Sequence[Bits]) -> dict[Bits, PairWeights]:
        # Parameters made in inference mode have no version counter, and cannot change in place outside it.
        state = [(p.data_ptr(), 0 if p.is_inference() else p._version, p.dtype) for p in self.parameters()]
        if state != self._kept_state:
            self._kept.clear()
            self._kept_state = state
        missing = [bits for bits in streams if bits not in self._kept]
        if missing:
            self._kept.update(self._merge(missing))
        return self._kept


class FoldedPair(nn.Module):
    """A pair of linear maps for each stream it was folded for: what is left of a `ConditionalPair` in deployment."""

    def __init__(self, pairs: Mapping[Bits, LinearPair]) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({_name(bits): pair for bits, pair in pairs.items()})

    @classmethod
    def empty(cls, width: int, hidden: int, middle: int, streams: Iterable[Bits]) -> Self:
        """Maps of the right shape, to load those of a folded checkpoint into."""
        return cls({bits: LinearPair(width, hidden, middle) for bits in streams})

    def weights(self, streams: Sequence[Bits]) -> list[PairWeights]:
        """The maps of each stream. Raises KeyError for a stream that was not folded."""
        return [self._pair(bits).weights(streams)[0] for bits in streams]

    def _pair(self, bits: Bits) -> LinearPair:
        name = _name(bits)
        if name not in self.streams:
            raise KeyError(
                f"the decoder was folded for the routing bits {', '.join(self.streams)}, not for {name}: "
                "name these bits when folding, or use the decoder that still has its experts"
            )
        pair = self.streams[name]
        assert isinstance(pair, LinearPair)
        return pair


def gate_modules(network: nn.Module) -> set[nn.Module]:
    """Every gate in a network and what it consists of: what neither decays nor is adapted."""
    return {part for gate in network.modules() if isinstance(gate, AttributeGate) for part in gate.modules()}


def apply_by_stream(x: Tensor, maps: Sequence[LinearWeights], lengths: Sequence[int]) -> Tensor:
    """Each stream's own map on its tokens: (B, L, in) -> (B, L, out).

    ``maps`` has one entry per stream and ``lengths`` their numbers of tokens, in order, adding up to L; a single entry
    is applied to everything.
    """
    if len(maps) == 1:
        return linear(x, *maps[0])
    parts = x.split(list(lengths), dim=1)
    return torch.cat([linear(part, *one) for part, one in zip(parts, maps, strict=True)], dim=1)


def _name(bits: Bits) -> str:
    return "".join(map(str, bits))


def _linear_pair(weights: PairWeights) -> LinearPair:
    (hidden, width), middle = weights.first.weight.shape, weights.second.weight.shape[1]
    pair = LinearPair(width, hidden, middle).to(weights.first.weight)
    pair.load_state_dict(
        {
            "first.weight": weights.first.weight,
            "first.bias": weights.first.bias,
            "second.weight": weights.second.weight,
            "second.bias": weights.second.bias,
        }
    )
    return pair
