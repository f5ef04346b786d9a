"""The streams of a training: the task of each, and its batches."""

from __future__ import annotations

from typing import Any

from uniperceiver.checkpoint import Checkpoint, CheckpointError
from uniperceiver.config import TrainConfig
from uniperceiver.data.loading import Batches
from uniperceiver.data.transforms import train_transform
from uniperceiver.distributed import rank, world_size
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.fitting_data import open_data_for
from uniperceiver.tasks.task import Task, TaskSetting
from uniperceiver.training.joint_batches import JointBatches, stream_seed
from uniperceiver.training.mixture import Mixture
from uniperceiver.training.start import stored


def open_streams(config: TrainConfig, start: Checkpoint, mixture: Mixture) -> tuple[dict[str, Task], JointBatches]:
    """Open the data of every stream: the tasks by name, and by step the batches that this process computes.

    Raises:
        CheckpointError: a training goes on with other names, answers or words than it began with.
    """
    tasks: dict[str, Task] = {}
    streams: dict[str, Batches[Any]] = {}
    for name, row in config.streams.items():
        dataset = open_data_for(row.task.kind, row.dataset)
        setting = TaskSetting(row.task, start.tokenizer, start.model.config.pixels, config.proposal_loss)
        tasks[name] = build_task(setting, find_candidates(setting, dataset))
        if start.state is not None and name in start.tasks:
            _check_unchanged(name, start.tasks[name], stored(tasks[name], row))
        streams[name] = Batches(
            dataset,
            train_transform(row.task.kind, row.task.image),
            tasks[name].collate,
            batch_size=mixture.batch_size(name),
            seed=stream_seed(config.seed, name),
            rank=rank(),
            world_size=world_size(),
        )
    return tasks, JointBatches(mixture, streams, config.accumulate)


def _check_unchanged(name: str, began: StoredTask, now: StoredTask) -> None:
    if (began.texts, began.token_ids) != (now.texts, now.token_ids):
        before, after = (len(task.texts) + len(task.token_ids) for task in (began, now))
        only = sorted(set(began.texts) ^ set(now.texts))
        difference = f"for example {only[0]!r}" if only else "other words, or in another order"
        raise CheckpointError(
            f"stream {name} was begun with {before} candidates and has {after} now, {difference}: go on with the data "
            "it was begun with, or train anew with --model CHECKPOINT and another --out"
        )
