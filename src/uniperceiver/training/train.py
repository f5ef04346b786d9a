"""Joint training: the streams of a step, as the mixture says; one optimiser step; a line of progress; a checkpoint."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from uniperceiver.checkpoint import (
    Checkpoint,
    CheckpointError,
    StoredTask,
    TrainingState,
    load_checkpoint,
    load_training_state,
    save_checkpoint,
)
from uniperceiver.config import TaskConfig, TrainConfig, load_config
from uniperceiver.convert.pretrained_weights import load_pretrained
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.loading import Batches, endless
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.data.transforms import train_transform
from uniperceiver.distributed import gather, joined_processes, mean_over_ranks, own_device, rank, world_size
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.task import Task, TaskSetting
from uniperceiver.training.activation_checkpointing import checkpoint_activations
from uniperceiver.training.joint_batches import JointBatches, stream_seed
from uniperceiver.training.metrics_log import MetricsLog, StepReport
from uniperceiver.training.mixture import Mixture
from uniperceiver.training.mt_adamw import MTAdamW
from uniperceiver.training.multitask_loss import MultiTaskLoss
from uniperceiver.training.parameter_groups import parameter_groups
from uniperceiver.training.progress_bar import ProgressBar
from uniperceiver.training.schedule import learning_rate_factor, set_learning_rates, training_progress
from uniperceiver.training.tensorboard_log import TensorBoardLog


class Training:
    """A training in progress: everything between a configuration and a checkpoint."""

    def __init__(self, config: TrainConfig, folder: Path, start: Checkpoint, device: torch.device | str) -> None:
        """Train ``start.model`` on the streams of ``config``; goes on from ``start.state`` when there is one."""
        torch.manual_seed(config.seed + rank())
        self.config = config
        self.folder = folder
        self.device = torch.device(device)
        self.tokenizer = start.tokenizer
        self.mixture = Mixture(config.streams, config.seed, config.sampling)
        self.optimizer = build_optimizer(config, start.model)
        self.step = 0
        self.seconds = 0.0
        if start.state is not None:
            self.step, self.seconds = start.state.step, start.state.seconds
            self.optimizer.load_state_dict(dict(start.state.optimizer))
            if rank() < len(start.state.random_states):  # more processes than before: the new ones are seeded anew
                torch.set_rng_state(start.state.random_states[rank()].clone())
        self.tasks: dict[str, Task] = {}
        streams: dict[str, Batches[Any]] = {}
        for name, row in config.streams.items():
            dataset = open_dataset(row.dataset)
            setting = TaskSetting(row.task, start.tokenizer, start.model.config.pixels, config.proposal_loss)
            self.tasks[name] = build_task(setting, find_candidates(setting, dataset))
            streams[name] = Batches(
                dataset,
                train_transform(row.task.kind, row.task.image),
                self.tasks[name].collate,
                batch_size=self.mixture.batch_size(name),
                seed=stream_seed(config.seed, name),
                rank=rank(),
                world_size=world_size(),
            )
        self.batches = endless(JointBatches(self.mixture, streams, config.accumulate), self.step, config.workers)
        self.model = start.model.to(self.device)
        if config.checkpoint_activations:
            checkpoint_activations(self.model)
        self.loss: nn.Module = MultiTaskLoss(self.model, self.tasks)
        if world_size() > 1:
            # A step uses the parameters of one task, and of these only the experts that its gates choose.
            self.loss = DistributedDataParallel(self.loss, find_unused_parameters=True)

    def run(self, show_bar: bool = False) -> None:
        """Train to the end of the schedule, writing checkpoints on the way."""
        logs = self._open_logs(show_bar) if rank() == 0 else []
        self.loss.train()
        try:
            while self.progress() < 1:
                for report in self.take_step():
                    for log in logs:
                        log.step(report, self.progress())
                if self.step % self.config.checkpoint_every == 0:
                    self.save()
        finally:
            for log in logs:
                log.close()
        self.save()

    def _open_logs(self, show_bar: bool) -> list[MetricsLog | TensorBoardLog | ProgressBar]:
        bar = [ProgressBar()] if show_bar else []
        board = [TensorBoardLog(self.folder / "tensorboard", self.step)] if self.config.tensorboard else []
        return [*bar, MetricsLog(self.folder, self.config.log_every), *board]

    def progress(self) -> float:
        """The part of the training that is done, by steps or by the clock."""
        return min(training_progress(self.config.schedule, self.step, self.seconds), 1.0)

    def take_step(self) -> list[StepReport]:
        """Accumulate the gradients of the step's streams, update the weights; a report for each of the streams."""
        began = time.monotonic()
        factor = learning_rate_factor(self.config.schedule, self.step, self.progress())
        set_learning_rates(self.optimizer, factor)
        self.optimizer.zero_grad(set_to_none=True)
        losses = {name: self._accumulate(name, batches) for name, batches in next(self.batches).items()}
        norm = self._update(list(losses))
        self.step += 1
        # Processes must agree on the time, for it drives the schedule and the end.
        seconds = float(mean_over_ranks(torch.tensor(time.monotonic() - began, device=self.device)))
        self.seconds += seconds
        return [
            StepReport(
                step=self.step,
                stream=name,
                losses=parts,
                loss=sum(parts.values()),
                gradient_norm=norm,
                learning_rate=self.config.optimizer.learning_rate * self.config.optimizer.decoder_scale * factor,
                examples=self.mixture.batch_size(name) * self.config.accumulate * world_size(),
                seconds=seconds / len(losses),
                elapsed=self.seconds,
            )
            for name, parts in losses.items()
        ]

    def _accumulate(self, name: str, batches: list[Any]) -> dict[str, float]:
        """Add the gradients of a stream's batches; the means of its losses."""
        losses: defaultdict[str, float] = defaultdict(float)
        for batch in batches:
            for part, value in self._backward(name, batch.to(self.device)).items():
                losses[part] += value / self.config.accumulate
        return dict(losses)

    def _backward(self, name: str, batch: Any) -> dict[str, float]:
        is_reduced = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_reduced):
            parts = self.loss(name, batch)
        total = torch.stack([value.float() for value in parts.values()]).sum()
        if not torch.isfinite(total):
            values = ", ".join(f"{part} {value.item():.4g}" for part, value in parts.items())
            raise FloatingPointError(f"step {self.step}, stream {name}: the loss is not finite ({values})")
        # MT-AdamW normalises the gradient and then multiplies it with ω_k itself.
        weight = 1.0 if isinstance(self.optimizer, MTAdamW) else self.mixture.loss_weight(name)
        (total * weight / self.config.accumulate).backward()
        return {part: float(value.detach()) for part, value in parts.items()}

    def _update(self, names: list[str]) -> float:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if isinstance(self.optimizer, MTAdamW):
            (name,) = names  # the configuration refuses MT-AdamW with mixed sampling
            return self.optimizer.step(sampling_ratio=self.mixture.sampling_ratio(name), scale=self.mixture.scale(name))
        norm: Tensor = torch.nn.utils.clip_grad_norm_(parameters, self.config.optimizer.clip_norm or float("inf"))
        self.optimizer.step()
        return float(norm)

    def save(self) -> None:
        """Write the checkpoint; every other process leaves that to rank 0."""
        random_states = gather(torch.get_rng_state()[None].to(self.device)).cpu()
        if rank() == 0:
            state = TrainingState(self.step, self.seconds, self.optimizer.state_dict(), random_states)
            tasks = {name: stored(self.tasks[name], stream.task) for name, stream in self.config.streams.items()}
            save_checkpoint(
                Checkpoint(self.model, self.tokenizer, tasks, self.config, state), self.folder / "checkpoint"
            )


def train(
    config: TrainConfig,
    folder: Path,
    resume: bool = False,
    device: torch.device | str = "cpu",
    show_bar: bool = False,
) -> Path:
    """Train as ``config`` says and return the checkpoint's folder, ``folder/checkpoint``.

    Under ``torchrun`` every process calls this and takes its share of every batch. ``show_bar`` draws a progress bar
    below the lines of progress.

    Raises:
        CheckpointError: ``resume`` without a checkpoint to go on from, or a checkpoint there without ``resume``.
    """
    device = own_device(device)
    with joined_processes(device):
        Training(config, folder, _start(config, folder / "checkpoint", resume), device).run(show_bar)
    return folder / "checkpoint"


def _start(config: TrainConfig, written: Path, resume: bool) -> Checkpoint:
    if not resume:
        if written.exists():
            raise CheckpointError(f"{written} exists already: resume it with --resume, or choose another --out")
        return initial(config)
    return replace(load_checkpoint(written), state=load_training_state(written))


def build_optimizer(config: TrainConfig, model: UniPerceiver) -> torch.optim.Optimizer:
    """MT-AdamW or AdamW over the parameter groups of ``model``."""
    settings = config.optimizer
    groups = parameter_groups(model, settings)
    if settings.name == "mt_adamw":
        return MTAdamW(groups, settings.learning_rate, settings.betas, settings.eps, settings.weight_decay)
    return torch.optim.AdamW(groups, settings.learning_rate, settings.betas, settings.eps, settings.weight_decay)


def stored(task: Task, config: TaskConfig) -> StoredTask:
    """What a checkpoint keeps of a task."""
    token_ids = task.candidates.token_ids
    return StoredTask(config, () if token_ids else tuple(task.candidates.texts), token_ids)


def initial(config: TrainConfig) -> Checkpoint:
    """What a training starts from: a checkpoint's weights, or a preset's with its pre-trained encoders.

    Weights that are not loaded are random, a function of ``config.seed``, so they are the same on every rank.
    """
    if Path(config.model).is_dir():
        return replace(load_checkpoint(Path(config.model)), training=None, tasks={})
    torch.manual_seed(config.seed)
    model = UniPerceiver(load_config(config.model))
    load_pretrained(model)
    return Checkpoint(model, Tokenizer.from_source(model.config.tokenizer))
