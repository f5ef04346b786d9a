"""One model on several processes: replicated, or its weights, gradients and moments sharded (FSDP2)."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from uniperceiver.config import Parallel
from uniperceiver.distributed import mean_over_ranks, world_size
from uniperceiver.model.conditional_moe import ConditionalPair, PairWeights
from uniperceiver.model.decoder_layer import DecoderLayer
from uniperceiver.model.segments import Bits
from uniperceiver.training.activation_checkpointing import LAYERS
from uniperceiver.training.multitask_loss import MultiTaskLoss


def parallel(loss: MultiTaskLoss, kind: Parallel, device: torch.device) -> nn.Module:
    """The loss as the processes compute it together; one process computes it as it is.

    ``ddp`` keeps a whole copy on every process: PyTorch's DDP on GPUs, where it averages gradients during the backward
    pass, `ReplicatedLoss` on processors, which have nothing idle to do that with. ``fsdp`` shards in place: every
    parameter but scalars becomes a `DTensor` of which a process holds its part, whole only while the layer it belongs
    to computes.
    """
    if world_size() == 1:
        return loss
    if kind == "ddp" and device.type == "cpu":
        return ReplicatedLoss(loss)
    if kind == "ddp":
        # A step uses the parameters of one task, and of these only the experts that its gates choose.
        return DistributedDataParallel(loss, find_unused_parameters=True)
    return ShardedLoss(loss)


class ReplicatedLoss(nn.Module):
    """A joint loss whose gradients are averaged in one piece, after the last backward pass of a step.

    Only what some process used is sent: a step's task, and of each layer the chosen experts, are a part of the model.
    """

    def __init__(self, loss: MultiTaskLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, stream: str, batch: Any) -> dict[str, Tensor]:
        """As `MultiTaskLoss`."""
        return self.loss(stream, batch)

    @torch.no_grad()
    def reduce(self) -> None:
        """Average the gradients over the processes; None stays where no process has one."""
        trained = [p for p in self.parameters() if p.requires_grad]
        is_used = mean_over_ranks(torch.tensor([float(p.grad is not None) for p in trained])) > 0
        used = [p for p, is_needed in zip(trained, is_used.tolist(), strict=True) if is_needed]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        mean = mean_over_ranks(torch.cat([gradient.flatten() for gradient in gradients]))
        for p, part in zip(used, mean.split([p.numel() for p in used]), strict=True):
            p.grad = part.view(p.shape)


class ShardedLoss(nn.Module):
    """A joint loss whose model is sharded with FSDP2, in groups: layers, the experts of each pair in g, and the rest.

    Only the chosen experts get a gradient, and noise chooses others on every process, while the processes add gradients
    up parameter by parameter. So every parameter of a group that was used gets one, zero where it had none, which for
    `MTAdamW` is the same.
    """

    def __init__(self, loss: MultiTaskLoss) -> None:
        super().__init__()
        for module in loss.modules():
            if isinstance(module, ConditionalPair):
                # g asks for a pair's merged maps, not for its forward: its experts are whole while they are merged.
                module.weights = MethodType(_weights_of_all, module)  # type: ignore[method-assign]
                fully_shard(module)
                register_fsdp_forward_method(module, "weights")
            elif isinstance(module, LAYERS) and not isinstance(module, DecoderLayer):
                fully_shard(module)
        # FSDP2 cannot shard a scalar: these stay whole, and `reduce` averages their gradients.
        self._scalars = [p for p in loss.parameters() if p.ndim == 0]
        self.loss = loss
        fully_shard(self, ignored_params=set(self._scalars))

    def forward(self, stream: str, batch: Any) -> dict[str, Tensor]:
        """As `MultiTaskLoss`."""
        parts = self.loss(stream, batch)
        first = next(iter(parts))
        # Parameters of the groups inside are in shards again: those that are whole now are this group's own.
        whole = [p for p in self.parameters() if p.requires_grad and not isinstance(p, DTensor)]
        return parts | {first: _TouchAll.apply(parts[first], *whole)}

    def reduce(self) -> None:
        """Average the gradients of the scalars over the processes; call it after the last backward pass of a step."""
        for p in self._scalars:
            if p.requires_grad:
                p.grad = mean_over_ranks(torch.zeros_like(p) if p.grad is None else p.grad)


def _weights_of_all(pair: ConditionalPair, streams: list[Bits]) -> list[PairWeights]:
    """`ConditionalPair.weights`, with a gradient for every expert."""
    maps = ConditionalPair.weights(pair, streams)
    if not torch.is_grad_enabled():
        return maps
    bias = _TouchAll.apply(maps[0].first.bias, *(p for p in pair.parameters() if p.requires_grad))
    return [maps[0]._replace(first=maps[0].first._replace(bias=bias)), *maps[1:]]


class _TouchAll(torch.autograd.Function):
    """The first tensor as it is; backwards, zeros for all others."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *touched: Tensor) -> Tensor:
        """Remember what was touched."""
        ctx.save_for_backward(*touched)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """The gradient of the first, zeros for the others."""
        return (gradients[0], *(torch.zeros_like(tensor) for tensor in ctx.saved_tensors))


def whole(tensor: Tensor) -> Tensor:
    """A tensor gathered from its shards; one that is not sharded as it is. Every process must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def distributed_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, the same on every process, sharded as ``like`` is."""
    return distribute_tensor(tensor, like.device_mesh, like.placements) if isinstance(like, DTensor) else tensor


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state dict gathered from its shards, on the CPU where it is sharded. Every process must call it."""
    return {name: whole(t).cpu() if isinstance(t, DTensor) else t for name, t in model.state_dict().items()}


def whole_optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's state dict with every moment gathered. Every process must call it."""
    state = optimizer.state_dict()
    moments = {
        index: {name: whole(v) if isinstance(v, Tensor) else v for name, v in kept.items()}
        for index, kept in state["state"].items()
    }
    return state | {"state": moments}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Set an optimiser to what `whole_optimizer_state` gave, its moments sharded as its parameters are."""
    optimizer.load_state_dict(state)
    for p, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.shape == p.shape:
                kept[name] = distributed_like(value, p)
