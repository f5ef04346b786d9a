"""Rank, world size and the few collectives the project needs; on one process they do nothing."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_functional
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def mean_over_ranks(value: Tensor) -> Tensor:
    """Average of a tensor over all processes, without gradient."""
    if world_size() == 1:
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Rows (n, …) of every process, concatenated in rank order; gradients flow back to the process a row came from.

    Processes may hold different numbers of rows.
    """
    if world_size() == 1:
        return rows
    count = torch.tensor([rows.shape[0]], device=rows.device)
    counts = [torch.zeros_like(count) for _ in range(world_size())]
    dist.all_gather(counts, count)
    longest = max(int(c) for c in counts)
    # all_gather wants equal shapes: pad with rows that are cut off again.
    padded = torch.cat([rows, rows.new_zeros(longest - rows.shape[0], *rows.shape[1:])])
    gathered = dist_functional.all_gather(padded)
    return torch.cat([part[: int(c)] for part, c in zip(gathered, counts, strict=True)])


def gather(rows: Tensor) -> Tensor:
    """As `gather_with_gradient`, without gradient: for labels and ids."""
    with torch.no_grad():
        return gather_with_gradient(rows)
