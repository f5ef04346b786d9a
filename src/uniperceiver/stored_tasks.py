"""What a checkpoint remembers of the tasks that its model was trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uniperceiver.config import ConfigError, FrameSamplingConfig, TaskConfig, from_data, to_data


@dataclass(frozen=True)
class StoredTask:
    """A task as a checkpoint remembers it, so that it predicts as it was trained."""

    config: TaskConfig
    texts: tuple[str, ...] = ()
    """Candidates given as texts: class names, answers."""
    token_ids: tuple[int, ...] = ()
    """Candidates given as tokens: the vocabulary."""
    sampling: FrameSamplingConfig | None = None
    """Which frames of a video evaluation looks at; None: the data are no videos, or not known."""

    @property
    def has_candidates(self) -> bool:
        """False: they are given when asked (a converted v1), or the task has none of its own (retrieval)."""
        return bool(self.texts or self.token_ids)


def _runs(ids: Sequence[int]) -> list[int | list[int]]:
    """Numbers with runs of successive ones as [first, last]: a whole vocabulary is one line, not fifty thousand."""
    runs: list[list[int]] = []
    for index in ids:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return [first if first == last else [first, last] for first, last in runs]


def _listed(runs: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """What `_runs` was given."""
    pairs = [(run, run) if isinstance(run, int) else run for run in runs]
    return tuple(index for first, last in pairs for index in range(first, last + 1))


def tasks_to_data(tasks: Mapping[str, StoredTask]) -> dict[str, Any]:
    """Tasks as plain data for YAML or JSON."""
    return {
        name: {"config": to_data(task.config), "texts": list(task.texts), "token_ids": _runs(task.token_ids)}
        | ({} if task.sampling is None else {"sampling": to_data(task.sampling)})
        for name, task in tasks.items()
    }


def tasks_from_data(data: Any, source: Path) -> dict[str, StoredTask]:
    """What `tasks_to_data` was given; ``source`` is the file it was read from.

    Raises:
        ConfigError: no tasks by name, a task that lacks something, or with a wrong setting.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{source} should name tasks, got {str(data)[:60]!r}")
    return {name: _stored_task(task, source) for name, task in data.items()}


def _stored_task(data: Any, source: Path) -> StoredTask:
    try:
        config = from_data(TaskConfig, data["config"], str(source))
        sampling = from_data(FrameSamplingConfig, data["sampling"], str(source)) if "sampling" in data else None
        return StoredTask(config, tuple(data["texts"]), _listed(data["token_ids"]), sampling)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{source}: a task needs config, texts and token_ids ({error})") from None
