"""Rank, world size and the few collectives the project needs; on one process they do nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

LONGEST_WAIT = timedelta(hours=2)
"""For another process, e.g. for rank 0 while it evaluates; then a process takes the others for dead."""


@contextmanager
def joined_processes(device: torch.device) -> Iterator[None]:
    """Within it the processes that ``torchrun`` started work together; without torchrun it does nothing.

    Processes that work together already go on doing so afterwards. They talk through NCCL when ``device`` is a GPU,
    through gloo otherwise.
    """
    is_joined = dist.is_available() and dist.is_initialized()
    if not is_joined:
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            yield
            return
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield
        dist.barrier()  # nobody leaves while another still writes the checkpoint
    finally:
        if not is_joined:
            dist.destroy_process_group()


def own_device(device: torch.device | str) -> torch.device:
    """The device of this process: of several GPUs of a machine, each of its processes takes another.

    Raises:
        ValueError: as `usable_device`.
    """
    if str(device) == "cuda":
        return usable_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    return usable_device(device)


def usable_device(device: torch.device | str) -> torch.device:
    """A device, once sure that something can be computed on it.

    Raises:
        ValueError: PyTorch knows no device of this name, or there is none here.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # an AssertionError where PyTorch was built without CUDA
        raise ValueError(f"cannot compute on the device {device}: {str(error).splitlines()[0]}") from None
    return found


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


def mean_over_all(values: Tensor) -> Tensor:
    """This process's part of the mean of all values (n,) of all processes, which may hold different numbers of them.

    The parts average to that mean, and so do their gradients when data parallelism averages them. No value: zero,
    still connected.
    """
    return values.sum() / mean_over_ranks(values.new_tensor(float(len(values)))).clamp(min=1)


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
    gathered: Tensor = _AllGather.apply(padded)
    return torch.cat([part[: int(c)] for part, c in zip(gathered, counts, strict=True)])


class _AllGather(torch.autograd.Function):
    """(n, …) of every process as (processes, n, …); backwards, the gradients of all processes are added."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """Collect the rows of all processes."""
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """What every process wants of this process's rows."""
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank()]


def gather(rows: Tensor) -> Tensor:
    """As `gather_with_gradient`, without gradient: for labels and ids."""
    with torch.no_grad():
        return gather_with_gradient(rows)
