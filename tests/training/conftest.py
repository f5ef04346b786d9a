"""Several training processes without several imports of torch."""

from __future__ import annotations

from collections.abc import Callable
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
def assert_trained_alike() -> Callable[[torch.Tensor, torch.Tensor, str], None]:
    """(weights, weights, name): equal up to rounding after a few steps of a rate of 1e-4.

    The last bit may decide on the gradient of a point next to a cell's edge, and processors differ in where that is:
    weights may be off by a fifth of a step, one in a hundred by a whole one.
    """

    def check(given: torch.Tensor, expected: torch.Tensor, name: str) -> None:
        torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-4, msg=lambda found: f"{name}: {found}")
        is_off = ~torch.isclose(given, expected, rtol=1e-4, atol=2e-5)
        assert int(is_off.sum()) <= 1 + is_off.numel() // 100, f"{name}: {int(is_off.sum())} of {is_off.numel()}"

    return check
