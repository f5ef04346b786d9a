"""Several training processes on this machine, started by one command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from uniperceiver.allocator import KEPT_HEAP
from uniperceiver.config import TrainConfig
from uniperceiver.training.checkpoint_keeping import NEWEST
from uniperceiver.training.folder_lock import folder_in_use
from uniperceiver.training.start import check_beginning
from uniperceiver.training.train import train


def train_in_processes(
    config: TrainConfig,
    folder: Path,
    processes: int,
    resume: bool = False,
    device: torch.device | str = "cpu",
    show_bar: bool = False,
) -> Path:
    """`train` in this many processes, each with its share of the processor: the same as under ``torchrun``.

    A step has the configured batch in every process. One process gains too: its heap is kept (`allocator.KEPT_HEAP`).

    Raises:
        CheckpointError, FolderInUseError: as `train`, before a process is started.
        ChildProcessError: a process failed; its own error is above it on stderr.
        SystemExit: SIGTERM or SIGINT ended them, with a checkpoint, as it ends `train`.
    """
    check_beginning(folder / NEWEST, resume)
    with folder_in_use(folder):
        pass  # one of the processes takes it anew, and holds it even if this one is killed
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="local",
        max_restarts=0,  # started again, it would find its own checkpoint and stop at that instead of the real error
    )
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    with _environment({"OMP_NUM_THREADS": threads, **KEPT_HEAP}):
        try:
            elastic_launch(settings, train)(config, folder, resume, device, show_bar)
        except SignalException as signal:
            raise SystemExit(128 + signal.sigval) from None
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            raise ChildProcessError(f"training process {failure.local_rank} failed: {_reason(failure)}") from None
    return folder / NEWEST


def _reason(failure: ProcessFailure) -> str:
    """The last line of what the process said of its error."""
    return str(failure.message).strip().splitlines()[-1]


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables that the processes started within inherit; what the user has set stays."""
    before = frozenset(os.environ)
    os.environ.update({name: value for name, value in values.items() if name not in before})
    try:
        yield
    finally:
        for name in os.environ.keys() - before:  # torch's launcher adds some of its own
            del os.environ[name]
