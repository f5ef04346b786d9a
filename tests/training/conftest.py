"""Several training processes without several imports of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# The first backward pass of a process starts a thread for every kind of device known by then, and an export to ONNX
# makes some known; processes forked afterwards could not train. So early there are none.
torch.zeros((), requires_grad=True).backward()

StartTwo = Callable[..., Any]
"""(function, *arguments) → the context of two started processes that run it; its ``join()`` waits for them."""


def _joined(rank: int, meeting: Path, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    function(*arguments)
    dist.destroy_process_group()


@pytest.fixture
def start_two(tmp_path_factory: pytest.TempPathFactory) -> StartTwo:
    """Starts two processes that work together as under ``torchrun``, forked: they need not import torch."""

    def start(function: Callable[..., None], *arguments: Any) -> Any:
        meeting = tmp_path_factory.mktemp("meeting") / "file"
        given = (meeting, function, arguments)
        return mp.start_processes(_joined, given, nprocs=2, join=False, start_method="fork")

    return start


@pytest.fixture
def in_two_processes(start_two: StartTwo) -> Callable[..., None]:
    """As `start_two`, and waits until both have ended well."""

    def run(function: Callable[..., None], *arguments: Any) -> None:
        processes = start_two(function, *arguments)
        while not processes.join():
            pass

    return run


@pytest.fixture
def in_double() -> Iterator[None]:
    """Models, and what forked processes make, in float64: there two orders of a sum are equal to ten digits.

    In float32 the last bit may decide whether a sampled point lies in this cell or the next, and on which processor.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
