"""What a training begins with: fresh or pre-trained weights, another checkpoint's, or those of its own interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from uniperceiver.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    load_training_state,
    recover,
    where_whole,
)
from uniperceiver.config import (
    DatasetConfig,
    DropPath,
    FrameSamplingConfig,
    OptimizerConfig,
    ScenesConfig,
    StreamConfig,
    TrainConfig,
    VideoCaptionsConfig,
    VideoCsvConfig,
    is_checkpoint_folder,
    load_config,
)
from uniperceiver.convert.initialisation import initialise
from uniperceiver.convert.pretrained_weights import load_pretrained
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.distributed import rank
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.tasks.task import Task
from uniperceiver.training.adapting import prepare
from uniperceiver.training.mt_adamw import MTAdamW
from uniperceiver.training.parameter_groups import parameter_groups


def starting_point(config: TrainConfig, written: Path, resume: bool) -> Checkpoint:
    """The checkpoint that training goes on from, with its state, or without ``resume`` what it begins with.

    Raises:
        CheckpointError: as `check_beginning`, or what is at ``written`` cannot be gone on from.
    """
    check_beginning(written, resume)
    recover(written)
    if resume:
        return replace(load_checkpoint(written), state=load_training_state(written))
    return initial(config)


def check_beginning(written: Path, resume: bool) -> None:
    """Make sure that there is a checkpoint at ``written`` to go on from, or none in the way; nothing is changed.

    Raises:
        CheckpointError: ``resume`` without a checkpoint at ``written``, or a checkpoint there without ``resume``.
    """
    is_there = where_whole(written).exists()
    if resume and not is_there:
        raise CheckpointError(f"there is no checkpoint {written} to go on from: leave out --resume, or give its --out")
    if is_there and not resume:
        raise CheckpointError(f"{written} exists already: resume it with --resume, or choose another --out")


def initial(config: TrainConfig) -> Checkpoint:
    """What a training starts from: a checkpoint's weights, or a preset's with its pre-trained encoders.

    Then ``config.init_from`` replaces parts of them, and what ``config.tune`` adds is added. Weights that are not
    loaded are random, a function of ``config.seed``, so they are the same on every rank.
    """
    torch.manual_seed(config.seed)
    if is_checkpoint_folder(config.model):
        start = replace(load_checkpoint(Path(config.model)), training=None, tasks={})
    else:
        start = _preset(config.model)
    for source in config.init_from:
        _say(f"{source}: {initialise(start.model, source).summary()}")
    prepare(start.model, config.tune)
    if config.drop_path is not None:
        set_drop_path(start.model, config.drop_path)
    return start


def set_drop_path(model: UniPerceiver, drop_path: DropPath) -> None:
    """Other rates of stochastic depth in the layers of g, in place and in the configuration."""
    decoder = replace(model.config.decoder, drop_path=drop_path)
    for index, layer in enumerate(model.g.stack):
        layer.drop_path = decoder.drop_path_of(index)
    model.config = replace(model.config, decoder=decoder)


def _preset(name: str) -> Checkpoint:
    model = UniPerceiver(load_config(name))
    loaded = load_pretrained(model)
    for source, report in loaded.items():
        _say(f"{source}: {report.summary()}")
    if not loaded:
        _say(f"{name} is a configuration, not a checkpoint, and names no trained weights: they begin random")
    return Checkpoint(model, Tokenizer.from_source(model.config.tokenizer))


def _say(line: str) -> None:
    if rank() == 0:
        Console(highlight=False, soft_wrap=True).print(line, markup=False)


def build_optimizer(settings: OptimizerConfig, model: UniPerceiver) -> torch.optim.Optimizer:
    """MT-AdamW or AdamW over the parameter groups of ``model``."""
    groups = parameter_groups(model, settings)
    if settings.name == "mt_adamw":
        return MTAdamW(groups, settings.learning_rate, settings.betas, settings.eps, settings.weight_decay)
    return torch.optim.AdamW(groups, settings.learning_rate, settings.betas, settings.eps, settings.weight_decay)


def stored(task: Task, stream: StreamConfig) -> StoredTask:
    """What a checkpoint keeps of the task of a stream."""
    token_ids = task.candidates.token_ids
    texts = () if token_ids else tuple(task.candidates.texts)
    return StoredTask(stream.task, texts, token_ids, _evaluated_frames(stream.evaluation or stream.dataset))


def _evaluated_frames(data: DatasetConfig) -> FrameSamplingConfig | None:
    """Which frames of videos are looked at, none drawn at random; None: no videos."""
    match data:
        case VideoCsvConfig() | VideoCaptionsConfig() | ScenesConfig(view="motions" | "motion_captions"):
            return data.sampling if data.sampling.stride is None else replace(data.sampling, start="first")
    return None
