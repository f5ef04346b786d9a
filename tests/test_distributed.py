"""Collectives on one process do nothing; on several they agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from uniperceiver.distributed import (
    gather,
    gather_with_gradient,
    mean_over_all,
    mean_over_ranks,
    own_device,
    rank,
    world_size,
)


def test_one_process_needs_no_collectives() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert gather_with_gradient(rows) is rows
    assert not mean_over_ranks(rows).requires_grad
    torch.testing.assert_close(mean_over_all(rows[:, 0]), rows[:, 0].mean())
    nothing = mean_over_all(rows[:0, 0])
    nothing.backward()
    assert nothing == 0


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "99")
    assert own_device("cpu") == torch.device("cpu")
    for device, name in (("gpu", "gpu"), ("cuda", "cuda:99"), ("cuda:98", "cuda:98")):
        with pytest.raises(ValueError, match=f"cannot compute on the device {name}: "):
            own_device(device)


def work(index: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=3)
    rows = torch.full((index + 1, 2), float(index), requires_grad=True)  # 1, 2 and 3 rows
    everyone = gather_with_gradient(rows)
    (everyone[:, 0] * torch.arange(6.0)).sum().backward()
    mean = mean_over_all(rows.detach()[:, 0])
    torch.save((everyone.detach(), rows.grad, mean, gather(torch.tensor([index]))), folder / f"{index}.pt")
    dist.destroy_process_group()


def test_three_processes_with_different_numbers_of_rows(tmp_path: Path) -> None:
    mp.start_processes(work, (tmp_path,), nprocs=3, start_method="fork")
    results = [torch.load(tmp_path / f"{index}.pt") for index in range(3)]
    for index, (everyone, gradient, _, indices) in enumerate(results):
        assert everyone[:, 0].tolist() == [0, 1, 1, 2, 2, 2]
        first = index * (index + 1) // 2
        # every process computes the same sum of all rows, so a row's gradient comes back once from each of the three
        torch.testing.assert_close(gradient[:, 0], 3 * torch.arange(float(first), float(first + index + 1)))
        assert indices.tolist() == [0, 1, 2]
    torch.testing.assert_close(torch.stack([mean for _, _, mean, _ in results]).mean(), torch.tensor(8 / 6))
