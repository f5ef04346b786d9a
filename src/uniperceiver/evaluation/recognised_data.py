"""What a checkpoint is evaluated on, and how it is asked, where data is given and no configuration."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import DatasetConfig, GlueConfig, ScenesConfig, StreamConfig, TaskConfig, to_data
from uniperceiver.data.recognition.found import FoundData
from uniperceiver.data.recognition.training_plan import training_plan
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tasks import NAMING_TASKS


def prepared_for(
    checkpoint: Checkpoint, data: Sequence[FoundData], folder: Path
) -> tuple[Checkpoint, dict[str, StreamConfig]]:
    """The streams of every task that ``data`` is good for, and the checkpoint with its tasks by their names.

    Tasks are asked as the checkpoint was trained for them, classes among those of the data, words and answers among
    those it was trained with, if any; a task that it was not trained for as `training_plan` would train it. The
    evaluation part of the data is used; all of it where there is no such part, or what was held out where the model was
    trained on it. Where it was trained on all of it, a warning says so.

    Args:
        checkpoint: its tasks are replaced, not changed.
        data: what was recognised.
        folder: of the checkpoint.

    Raises:
        RecognitionError: data that the network cannot take.
    """
    trained = [] if checkpoint.training is None else [row.dataset for row in checkpoint.training.streams.values()]
    streams: dict[str, StreamConfig] = {}
    tasks: dict[str, StoredTask] = {}
    for name, planned in training_plan(data, str(folder)).streams.items():
        stream = _unseen(planned, trained)
        _warn_if_seen(name, stream, trained)
        stored = checkpoint.task_of(planned.task.kind)
        if stored is not None:
            stream = replace(stream, task=_asked(stored.config, planned))
            if planned.task.kind not in NAMING_TASKS:
                tasks[name] = stored
        streams[name] = stream
    return replace(checkpoint, tasks=tasks), streams


def _asked(trained: TaskConfig, planned: StreamConfig) -> TaskConfig:
    """As the model was trained; GLUE's tasks in their own templates, Kinetics in v1's three crops."""
    if isinstance(planned.dataset, GlueConfig):
        return replace(trained, template=planned.task.template, label_words=None)
    crops = planned.task.image.crops
    return trained if crops == 1 else replace(trained, image=replace(trained.image, crops=crops))


def _unseen(planned: StreamConfig, trained: Sequence[DatasetConfig]) -> StreamConfig:
    """On all of the evaluation part; on what was held out where the model was trained on a fold of it.

    Recognition holds out a fold where there is no other part; here that is undone. The training part gives the trivial
    baselines where the model was trained on it. Else it is left alone: it may have other classes.
    """
    part = planned.evaluation
    assert part is not None
    assert not isinstance(part, ScenesConfig)  # no files are recognised as scenes
    for data in trained:
        fold: Any = None if isinstance(data, ScenesConfig) else data.fold
        if fold is not None and _located(data) == _located(part):
            held_out = replace(fold, held_out=not fold.held_out)
            return replace(planned, dataset=replace(part, fold=fold), evaluation=replace(part, fold=held_out))
        if fold is None and _located(data) == _located(planned.dataset) != _located(part):
            return planned
    whole = replace(part, fold=None)
    return replace(planned, dataset=whole, evaluation=whole)


def _warn_if_seen(name: str, stream: StreamConfig, trained: Sequence[DatasetConfig]) -> None:
    part: Any = stream.evaluation
    if part.fold is None and any(_located(data) == _located(part) for data in trained):
        warnings.warn(
            f"{name}: the model was trained on all of these data and none was held out, so the figures say how well it "
            "remembers them",
            stacklevel=2,
        )


def _located(config: Any) -> dict[str, Any]:
    """A data set as plain data, the same however its paths are written, whichever frames and fold are looked at."""
    return {key: _resolved(value) for key, value in to_data(config).items() if key not in {"sampling", "fold"}}


def _resolved(value: Any) -> Any:
    return str(Path(value).resolve()) if isinstance(value, str) and Path(value).exists() else value
