"""A checkpoint is a folder: weights, configuration, tokenizer, what the tasks compare with, and the state of training.

====================  ==================================================================================
model.safetensors     every weight of the model
config.yaml           `ModelConfig`
tokenizer.json        the tokenizer, as the `tokenizers` library writes it
tasks.yaml            name → `StoredTask`: the task and its candidates
training.yaml         `TrainConfig` with its paths filled in (absent in a published model)
left_out.json         where weights are that model.safetensors lacks (only in packed checkpoints)
state.pt              optimiser, step and random states, read with ``weights_only`` (absent likewise)
average.safetensors   the moving average of the trained weights (only where it is configured)
====================  ==================================================================================
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from uniperceiver.atomic_files import flush, name_while_replaced, name_while_written, replace_folder
from uniperceiver.config import ConfigError, ModelConfig, TaskKind, TrainConfig, from_data, to_data
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.left_out import left_out_weights
from uniperceiver.load_report import compare
from uniperceiver.model.undrawn import undrawn_model
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask, tasks_from_data, tasks_to_data
from uniperceiver.tensor_files import save_tensors

AVERAGE = "average.safetensors"
_YAML_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # thousands of names: ten times as fast


@dataclass(frozen=True)
class BestSoFar:
    """The best evaluation of a training, by its ``keep_best``."""

    value: float
    step: int
    """Steps done when it was evaluated."""
    misses: int
    """Evaluations since then."""


@dataclass(frozen=True)
class TrainingState:
    """What training needs to go on as if it had not stopped."""

    step: int
    """Steps done."""
    seconds: float
    """Time spent on them."""
    optimizer: Mapping[str, Any]
    """The optimiser's state dict, its moments gathered from all processes."""
    random_states: torch.Tensor
    """(processes, n) uint8, torch's random state of each process: of its CPU generator, then of its GPU's."""
    best: BestSoFar | None = None
    average: Mapping[str, torch.Tensor] | None = None
    """The moving average of the trained weights."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder in memory."""

    model: UniPerceiver
    tokenizer: Tokenizer
    tasks: Mapping[str, StoredTask] = field(default_factory=dict)
    training: TrainConfig | None = None
    state: TrainingState | None = None
    """Written with the rest; read by `load_training_state`, since only resuming needs it."""
    weights: Mapping[str, torch.Tensor] | None = None
    """Written instead of the model's own, where these are sharded over processes."""

    def task_of(self, kind: TaskKind) -> StoredTask | None:
        """The task of this kind that the model was trained for; None: it was trained for none.

        Of several streams of a kind, the one with the largest test pictures says how pictures are prepared, and the
        candidates of all are candidates, each once. Only a linear head tells classes of one name apart: of a single
        stream with one, all candidates stay.
        """
        stored = [task for task in self.tasks.values() if task.config.kind == kind]
        if not stored:
            return None
        if len(stored) == 1 and self.model.head_for(stored[0].texts) is not None:
            return stored[0]
        largest = max(stored, key=lambda task: task.config.image.test)
        texts = dict.fromkeys(text for task in stored for text in task.texts)
        token_ids = dict.fromkeys(index for task in stored for index in task.token_ids)
        return StoredTask(largest.config, tuple(texts), tuple(token_ids))


class CheckpointError(ValueError):
    """A folder that is not a usable checkpoint; the message says what is missing or wrong in it."""


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint so that ``folder`` always holds a whole one: the old or the new, never a part.

    Everything is written beside it, flushed to disk and renamed; an interrupted write leaves ``folder`` as it was.

    Raises:
        CheckpointError: ``folder`` holds something else, or cannot be written, e.g. because the disk is full; what was
            there before is as it was.
    """
    recover(folder)
    if folder.exists() and not (folder.is_dir() and ((folder / "config.yaml").is_file() or not any(folder.iterdir()))):
        raise CheckpointError(f"{folder} is there and no checkpoint, which alone would be replaced: give a new folder")
    fresh = name_while_written(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        _write(checkpoint, fresh)
        for file in (*fresh.iterdir(), fresh):
            flush(file)
    # safetensors and torch have errors of their own for a full disk
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        kept = f"the one from before in {folder} is whole" if folder.is_dir() else "there is none from before"
        raise CheckpointError(f"the checkpoint {folder} cannot be written; {kept}: {error}") from error
    replace_folder(fresh, folder)


def recover(folder: Path) -> None:
    """Put a checkpoint back in its place if its replacing stopped between the two renames: the old one is whole."""
    if where_whole(folder) != folder:
        with suppress(FileNotFoundError):  # another process of the same training was quicker
            name_while_replaced(folder).rename(folder)


def where_whole(folder: Path) -> Path:
    """Where the checkpoint ``folder`` lies: there, or set aside while another takes its place."""
    old = name_while_replaced(folder)
    return old if not folder.exists() and old.is_dir() else folder


def _write(checkpoint: Checkpoint, fresh: Path) -> None:
    weights = checkpoint.model.state_dict() if checkpoint.weights is None else checkpoint.weights
    save_tensors(weights, fresh / "model.safetensors")
    _write_yaml(to_data(checkpoint.model.config), fresh / "config.yaml")
    checkpoint.tokenizer.save(fresh / "tokenizer.json")
    _write_yaml(tasks_to_data(checkpoint.tasks), fresh / "tasks.yaml")
    if checkpoint.training is not None:
        _write_yaml(to_data(checkpoint.training), fresh / "training.yaml")
    if checkpoint.state is not None:
        state = checkpoint.state
        content = {
            "step": state.step,
            "seconds": state.seconds,
            "optimizer": dict(state.optimizer),
            "random_states": state.random_states,
            "best": None if state.best is None else asdict(state.best),
        }
        torch.save(content, fresh / "state.pt")
        if state.average is not None:
            save_tensors(state.average, fresh / AVERAGE)


def load_checkpoint(folder: Path, device: torch.device | str = "cpu", average: bool = False) -> Checkpoint:
    """Read a checkpoint folder, but for its training state. Every weight must be there, none more, each of its shape.

    ``average``: with the moving average of the weights in their place.

    Raises:
        CheckpointError: the folder or one of its files is missing, or its weights do not fit its configuration.
        PretrainedFileError: a packed checkpoint without the package that has the rest of it.
    """
    folder = where_whole(folder)  # not moved: a training may be about to put the next one there
    for name in ("config.yaml", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} is not a checkpoint: it has no {name}")
    config = from_data(ModelConfig, _read_yaml(folder / "config.yaml"), str(folder / "config.yaml"))
    model = undrawn_model(config)
    weights = _read_tensors(folder / "model.safetensors") | left_out_weights(folder)
    if average:
        weights |= _read_average(folder)
    report = compare(weights, model.state_dict())
    if not report.is_complete:
        raise CheckpointError(f"{folder / 'model.safetensors'} does not fit config.yaml:\n{report.problems()}")
    model.load_state_dict(weights)
    tasks = _read_yaml(folder / "tasks.yaml") if (folder / "tasks.yaml").is_file() else {}
    return Checkpoint(
        model=model.to(device),
        tokenizer=Tokenizer.from_file(folder / "tokenizer.json"),
        tasks=tasks_from_data(tasks, folder / "tasks.yaml"),
        training=stored_training(folder),
    )


def stored_training(folder: Path) -> TrainConfig | None:
    """The training that a checkpoint folder is of, without reading its weights; None: it does not say.

    Raises:
        ConfigError: it says what this version does not know.
    """
    path = where_whole(folder) / "training.yaml"
    return from_data(TrainConfig, _read_yaml(path), str(path)) if path.is_file() else None


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
        return TrainingState(
            content["step"],
            content["seconds"],
            content["optimizer"],
            content["random_states"],
            None if content["best"] is None else BestSoFar(**content["best"]),
            _read_average(folder) if (folder / AVERAGE).is_file() else None,
        )
    except (UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as error:
        # Not what PyTorch says: of files that hold more than numbers it advises to load them all the same.
        raise CheckpointError(
            f"{path} is damaged, or not a training state that this version wrote: go on from another checkpoint, or "
            "start anew from this one's weights with --init-from"
        ) from error


def _read_average(folder: Path) -> dict[str, torch.Tensor]:
    if not (folder / AVERAGE).is_file():
        raise CheckpointError(f"{folder} holds no moving average of the weights ({AVERAGE}): train with weight_average")
    return _read_tensors(folder / AVERAGE)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is broken: {error}") from error


def _write_yaml(data: Any, path: Path) -> None:
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _YAML_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
