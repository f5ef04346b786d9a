"""The norm of a gradient, its clipping, and who is to blame when it is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from uniperceiver.distributed import mean_over_ranks, world_size

Groups = Sequence[dict[str, Any]]
"""``param_groups`` of an optimiser. The parameters of a group are all sharded, or all whole."""


def gradient_norm(groups: Groups) -> float:
    """‖∇L‖ over all parameters of all groups, in float32 or more; missing ones are zero, sharded ones are gathered.

    Raises:
        FloatingPointError: it is not finite; the parameters concerned are named.
    """
    norms: list[Tensor] = []
    for group in groups:
        gradients = [p.grad for p in group["params"] if p.grad is not None]
        if gradients:
            dtype = torch.promote_types(gradients[0].dtype, torch.float32)
            own = torch._foreach_norm([own_part(gradient) for gradient in gradients], 2, dtype=dtype)
            norm = torch.linalg.vector_norm(torch.stack(own))
            is_sharded = isinstance(gradients[0], DTensor)
            norms.append((world_size() * mean_over_ranks(norm.square())).sqrt() if is_sharded else norm)
    if not norms:
        return 0.0
    total = float(torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms])))
    if not math.isfinite(total):
        raise FloatingPointError(_blame(groups))
    return total


@torch.no_grad()
def clip_gradients(groups: Groups, norm: float, bound: float) -> None:
    """Scale all gradients, of joint norm ``norm``, down to ``bound`` if they exceed it."""
    factor = bound / (norm + 1e-6)
    if factor >= 1:
        return
    for group in groups:
        gradients = [p.grad for p in group["params"] if p.grad is not None]
        if gradients:
            torch._foreach_mul_([own_part(gradient) for gradient in gradients], factor)


def own_part(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor that this process holds, sharing its memory; of any other, all of it.

    What an optimiser does is element by element: it works on these plain tensors.
    """
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _blame(groups: Groups) -> str:
    bad = [
        name_of(group, index)
        for group in groups
        for index, p in enumerate(group["params"])
        if p.grad is not None and not _is_finite(p.grad)
    ]
    if not bad:
        return "the norm of the gradient exceeds float32; lower the loss's scale"
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"the gradient of {', '.join(bad[:5])}{more} is not finite; nothing was updated, look at this step's loss"


def _is_finite(gradient: Tensor) -> bool:
    whole = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
    return bool(whole.isfinite().all())


def name_of(group: dict[str, Any], index: int) -> str:
    """The parameter's name if the group was made with names, else its place and shape."""
    if "param_names" in group:
        return str(group["param_names"][index])
    return f"parameter {index} of shape {tuple(group['params'][index].shape)}"
