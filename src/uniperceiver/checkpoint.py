"""A checkpoint is a folder: weights, configuration, tokenizer, what the tasks compare with, and the state of training.

====================  ==================================================================================
model.safetensors     every weight of the model
config.yaml           `ModelConfig`
tokenizer.json        the tokenizer, as the `tokenizers` library writes it
tasks.yaml            name → `StoredTask`: the task and its candidates
training.yaml         `TrainConfig` with its paths filled in (absent in a published model)
state.pt              optimiser, step and random states, read with ``weights_only`` (absent likewise)
====================  ==================================================================================
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from uniperceiver.config import ConfigError, ModelConfig, TaskConfig, TrainConfig, from_data, to_data
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver


@dataclass(frozen=True)
class StoredTask:
    """A task as a checkpoint remembers it, so that it predicts as it was trained."""

    config: TaskConfig
    texts: tuple[str, ...] = ()
    """Candidates given as texts: class names, answers."""
    token_ids: tuple[int, ...] = ()
    """Candidates given as tokens: the vocabulary."""


@dataclass(frozen=True)
class TrainingState:
    """What training needs to go on as if it had not stopped."""

    step: int
    """Steps done."""
    seconds: float
    """Time spent on them."""
    optimizer: Mapping[str, Any]
    random_states: torch.Tensor
    """(processes, n) uint8, torch's CPU random state of each process."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder in memory."""

    model: UniPerceiver
    tokenizer: Tokenizer
    tasks: Mapping[str, StoredTask] = field(default_factory=dict)
    training: TrainConfig | None = None
    state: TrainingState | None = None
    """Written with the rest; read by `load_training_state`, since only resuming needs it."""


class CheckpointError(ValueError):
    """A folder that is not a usable checkpoint; the message says what is missing or wrong in it."""


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint so that ``folder`` always holds a whole one: the old or the new, never a part.

    Everything is written beside it, flushed to disk and renamed; an interrupted write leaves ``folder`` as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.writing")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    weights = {name: tensor.contiguous() for name, tensor in checkpoint.model.state_dict().items()}
    safetensors.torch.save_file(weights, fresh / "model.safetensors")
    _write_yaml(to_data(checkpoint.model.config), fresh / "config.yaml")
    checkpoint.tokenizer.save(fresh / "tokenizer.json")
    tasks = {
        name: {"config": to_data(task.config), "texts": list(task.texts), "token_ids": list(task.token_ids)}
        for name, task in checkpoint.tasks.items()
    }
    _write_yaml(tasks, fresh / "tasks.yaml")
    if checkpoint.training is not None:
        _write_yaml(to_data(checkpoint.training), fresh / "training.yaml")
    if checkpoint.state is not None:
        state = checkpoint.state
        content = {
            "step": state.step,
            "seconds": state.seconds,
            "optimizer": dict(state.optimizer),
            "random_states": state.random_states,
        }
        torch.save(content, fresh / "state.pt")
    for file in fresh.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint folder, but for its training state. Every weight must be there, none more, each of its shape.

    Raises:
        CheckpointError: the folder or one of its files is missing, or its weights do not fit its configuration.
    """
    interrupted = folder.with_name(f".{folder.name}.old")
    if not folder.is_dir() and interrupted.is_dir():
        interrupted.rename(folder)  # stopped between the two renames of `save_checkpoint`: the old one is whole
    for name in ("config.yaml", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} is not a checkpoint: it has no {name}")
    config = from_data(ModelConfig, _read_yaml(folder / "config.yaml"), str(folder / "config.yaml"))
    model = UniPerceiver(config)
    try:
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{folder / 'model.safetensors'} does not fit config.yaml: {error}") from error
    tasks = _read_yaml(folder / "tasks.yaml") if (folder / "tasks.yaml").is_file() else {}
    training = folder / "training.yaml"
    return Checkpoint(
        model=model.to(device),
        tokenizer=Tokenizer.from_file(folder / "tokenizer.json"),
        tasks={name: _stored_task(task, folder) for name, task in tasks.items()},
        training=from_data(TrainConfig, _read_yaml(training), str(training)) if training.is_file() else None,
    )


def load_training_state(folder: Path) -> TrainingState:
    """What training needs to go on from a checkpoint folder.

    Raises:
        CheckpointError: the folder holds no training state, or one that is broken.
    """
    path = folder / "state.pt"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no training state (state.pt): it cannot be resumed, only started from")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return TrainingState(content["step"], content["seconds"], content["optimizer"], content["random_states"])
    except (UnpicklingError, RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a training state that this version wrote: {error!r:.300}") from None


def _stored_task(data: Any, folder: Path) -> StoredTask:
    try:
        config = from_data(TaskConfig, data["config"], str(folder / "tasks.yaml"))
        return StoredTask(config, tuple(data["texts"]), tuple(data["token_ids"]))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / 'tasks.yaml'}: a task needs config, texts and token_ids ({error})") from None


def _write_yaml(data: Any, path: Path) -> None:
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
