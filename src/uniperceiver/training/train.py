"""Joint training: the streams of a step, as the mixture says; one optimiser step; a line of progress; a checkpoint."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console

from uniperceiver.adapter import ADAPTER, save_adapter
from uniperceiver.checkpoint import BestSoFar, Checkpoint, TrainingState, save_checkpoint
from uniperceiver.config import Precision, TrainConfig
from uniperceiver.data.loading import endless, naming_dead_processes
from uniperceiver.distributed import joined_processes, mean_over_ranks, own_device, rank, world_size
from uniperceiver.precision import Computed, computed_in, reduced
from uniperceiver.training.activation_checkpointing import checkpoint_activations
from uniperceiver.training.adapting import add_heads, fix_temperature, freeze, trained_table
from uniperceiver.training.batch_record import write_batch
from uniperceiver.training.checkpoint_keeping import NEWEST, after_evaluation, keep_best, keep_last
from uniperceiver.training.folder_lock import folder_in_use
from uniperceiver.training.gradients import clip_gradients, gradient_norm
from uniperceiver.training.interruption import Interrupted, StopRequest, noticing_signals
from uniperceiver.training.metrics_log import MetricsLog, StepReport
from uniperceiver.training.mixture import Mixture
from uniperceiver.training.mt_adamw import MTAdamW
from uniperceiver.training.multitask_loss import MultiTaskLoss
from uniperceiver.training.parallel import (
    ReplicatedLoss,
    ShardedLoss,
    load_optimizer_state,
    parallel,
    whole,
    whole_optimizer_state,
    whole_weights,
)
from uniperceiver.training.periodic_evaluation import PeriodicEvaluation, evaluated_model
from uniperceiver.training.progress_bar import ProgressBar
from uniperceiver.training.random_states import random_states, restore_random_states
from uniperceiver.training.schedule import learning_rate_factor, set_learning_rates, training_progress
from uniperceiver.training.start import build_optimizer, check_beginning, initial, starting_point, stored
from uniperceiver.training.streams import open_streams
from uniperceiver.training.tensorboard_log import TensorBoardLog
from uniperceiver.training.weight_average import WeightAverage

__all__ = ["Training", "initial", "train"]


class Training:
    """A training in progress: everything between a configuration and a checkpoint."""

    def __init__(self, config: TrainConfig, folder: Path, start: Checkpoint, device: torch.device | str) -> None:
        """Train ``start.model`` on the streams of ``config``; goes on from ``start.state`` when there is one."""
        torch.manual_seed(config.seed + rank())
        self.config = config
        self.folder = folder
        self.device = torch.device(device)
        self.computed = computed_by_all(config.precision, self.device)
        self.tokenizer = start.tokenizer
        self.mixture = Mixture(config.streams, config.seed, config.sampling)
        self.tasks, batches = open_streams(config, start, self.mixture)
        self.evaluation = PeriodicEvaluation(config, self.tasks, folder) if config.evaluate_every else None
        add_heads(start.model, config.tune, self.tasks.values())
        self.model = start.model.to(self.device)
        freeze(self.model, config.tune)
        if config.fixed_temperature is not None:
            fix_temperature(self.model, config.fixed_temperature)
        if config.checkpoint_activations:
            checkpoint_activations(self.model)
        self.loss = parallel(MultiTaskLoss(self.model, self.tasks), config.parallel, self.device)
        self.optimizer = build_optimizer(config.optimizer, self.model)
        self.step, self.seconds = 0, 0.0
        self.best: BestSoFar | None = None
        self._saved_at: int | None = None
        state = start.state
        average, kept = config.weight_average, None if state is None else state.average
        self.average = None if average is None else WeightAverage(self.model, average.decay, kept)
        if state is not None:
            self._go_on_from(state)
        self.batches = endless(batches, self.step, config.workers)

    def _go_on_from(self, state: TrainingState) -> None:
        self.step, self.seconds, self.best = state.step, state.seconds, state.best
        load_optimizer_state(self.optimizer, dict(state.optimizer))
        restore_random_states(state.random_states, self.device)
        if rank() == 0 and self.best is not None and self.best.step == self.step:
            keep_best(self.folder)  # it may have been stopped just before

    def run(self, request: StopRequest | None = None, show_bar: bool = False) -> bool:
        """Train to the end of the schedule, writing checkpoints on the way; False when ``request`` ended it before."""
        request = request or StopRequest()
        if rank() == 0:
            Console(highlight=False).print(trained_table(self.model, self.config.tune))
            Console(highlight=False).print(f"precision: {self.computed} ({self.config.precision})")
            if self.progress() >= 1:
                print(f"nothing left to train: step {self.step} is the end; give the schedule more steps or minutes")
        logs = self._open_logs(show_bar) if rank() == 0 else []
        self.loss.train()
        is_asked = False
        try:
            while self.progress() < 1 and not is_asked and not self._is_hopeless():
                began = time.monotonic()
                with naming_dead_processes():
                    reports = self.take_step()
                seconds, is_asked = self._agreed(time.monotonic() - began, request)
                self.seconds += seconds
                for report, log in product(reports, logs):
                    log.step(report.timed(seconds / len(reports), self.seconds), self.progress())
                self._evaluate_and_save(is_asked)
        except BaseException:
            self.batches.close()  # or the processes that load would keep this one from ending
            raise
        finally:
            for log in logs:
                log.close()
        if self._saved_at != self.step:
            self.save()
        return not is_asked

    def _open_logs(self, show_bar: bool) -> list[MetricsLog | TensorBoardLog | ProgressBar]:
        bar = [ProgressBar()] if show_bar else []
        board = [TensorBoardLog(self.folder / "tensorboard", self.step)] if self.config.tensorboard else []
        return [*bar, MetricsLog(self.folder, self.config.log_every), *board]

    def _agreed(self, seconds: float, request: StopRequest) -> tuple[float, bool]:
        """Mean duration of a step, and whether any process was asked to stop.

        Processes must agree on both: the time drives the schedule and the end.
        """
        own = torch.tensor([seconds, float(request.number > 0)], dtype=torch.float64)
        mean_seconds, asked = mean_over_ranks(own.to(self.device, torch.float32)).tolist()
        return mean_seconds, asked > 0

    def _is_hopeless(self) -> bool:
        """Whether early stopping applies: ``patience`` evaluations brought no new best."""
        patience = self.config.patience
        return patience is not None and self.best is not None and self.best.misses >= patience

    def progress(self) -> float:
        """The part of the training that is done, by steps or by the clock."""
        return min(training_progress(self.config.schedule, self.step, self.seconds), 1.0)

    def take_step(self) -> list[StepReport]:
        """Accumulate the gradients of the step's streams, update the weights; a report for each of the streams."""
        factor = learning_rate_factor(self.config.schedule, self.step, self.progress())
        set_learning_rates(self.optimizer, factor)
        self.optimizer.zero_grad(set_to_none=True)
        streams = next(self.batches)
        losses = {name: self._accumulate(name, batches) for name, batches in streams.items()}
        norm = self._update(streams)
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        return [
            StepReport(
                step=self.step,
                stream=name,
                losses=parts,
                loss=sum(parts.values()),
                gradient_norm=norm,
                learning_rate=self.config.optimizer.learning_rate * self.config.optimizer.decoder_scale * factor,
                examples=self.mixture.batch_size(name) * self.config.accumulate * world_size(),
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
        with reduced(self.device, self.computed):
            parts = self.loss(name, batch)
        total = torch.stack([value.float() for value in parts.values()]).sum()
        is_bad = not bool(total.abs() <= self.config.largest_loss)  # NaN is not
        # One process must not leave the others waiting for its gradient.
        if float(mean_over_ranks(total.new_tensor(float(is_bad)))) > 0:
            said = ", ".join(f"{part} {value.item():.4g}" for part, value in parts.items())
            problem = "the loss is not finite" if not torch.isfinite(total) else "the loss has exploded"
            self._stop(f"{problem if is_bad else 'another process has a bad loss'} ({said})", {name: [batch]}, is_bad)
        # MT-AdamW normalises the gradient and then multiplies it with ω_k itself.
        weight = 1.0 if isinstance(self.optimizer, MTAdamW) else self.mixture.loss_weight(name)
        (total * weight / self.config.accumulate).backward()
        return {part: float(value.detach()) for part, value in parts.items()}

    def _update(self, streams: dict[str, list[Any]]) -> float:
        if isinstance(self.loss, ReplicatedLoss | ShardedLoss):
            self.loss.reduce()
        try:
            if isinstance(self.optimizer, MTAdamW):
                (name,) = streams  # the configuration refuses MT-AdamW with mixed sampling
                ratio, scale = self.mixture.sampling_ratio(name), self.mixture.scale(name)
                if self.config.optimizer.equal_say == "steps":
                    scale *= ratio
                return self.optimizer.step(sampling_ratio=ratio, scale=scale)
            norm = gradient_norm(self.optimizer.param_groups)
        except FloatingPointError as error:
            self._stop(str(error), streams, True)
        if self.config.optimizer.clip_norm is not None:
            clip_gradients(self.optimizer.param_groups, norm, self.config.optimizer.clip_norm)
        self.optimizer.step()
        return norm

    def _stop(self, problem: str, streams: dict[str, list[Any]], is_own: bool) -> NoReturn:
        """End a training that has gone wrong, before its weights change, with the batches written aside."""
        where = ""
        for name, batches in streams.items() if is_own else ():
            for index, batch in enumerate(batches):
                folder = self.folder / "bad_batches" / f"step-{self.step + 1:08d}-{name}-{index}-rank-{rank()}"
                about = {"problem": problem, "step": self.step + 1, "stream": name, "rank": rank()}
                where = f"; its batch is in {write_batch(folder, batch, about).parent}"
        names = ", ".join(streams)
        raise FloatingPointError(
            f"step {self.step + 1}, stream {names}: {problem}{where}. The weights are as before the step, and the last "
            f"checkpoint is whole: lower the learning rate or mend the data, and go on with --resume"
        )

    def _evaluate_and_save(self, is_last: bool) -> None:
        """What is due after a step: an evaluation, a checkpoint."""
        every = self.config.evaluate_every
        is_best = every is not None and self.step % every == 0 and self._evaluate()
        if is_best or (self.step % self.config.checkpoint_every == 0 and not is_last):
            self.save()
        if is_best and rank() == 0:
            keep_best(self.folder)

    def _evaluate(self) -> bool:
        """Evaluate on rank 0; whether the checkpoint is the best so far, which all processes then know."""
        settings = self.config.weight_average
        is_averaged = settings is not None and settings.evaluate
        weights = self.average.averages() if is_averaged and self.average is not None else {}
        model = evaluated_model(self.model, weights, self.config.parallel)
        value = 0.0
        if rank() == 0 and self.evaluation is not None:
            metrics = self.evaluation(model, self.step)
            value = metrics[self.config.keep_best] if self.config.keep_best is not None else 0.0
        if self.config.keep_best is None:
            return False
        value = float(mean_over_ranks(torch.tensor(value, device=self.device))) * world_size()
        self.best = after_evaluation(self.best, value, self.step)
        return self.best.step == self.step

    def save(self) -> None:
        """Write the checkpoint; every other process leaves that to rank 0."""
        states = random_states(self.device)
        weights, optimizer = whole_weights(self.model), whole_optimizer_state(self.optimizer)
        average = None
        if self.average is not None:
            average = {name: whole(tensor) for name, tensor in self.average.averages().items()}
        if rank() == 0:
            state = TrainingState(self.step, self.seconds, optimizer, states, self.best, average)
            tasks = {name: stored(self.tasks[name], stream) for name, stream in self.config.streams.items()}
            checkpoint = Checkpoint(self.model, self.tokenizer, tasks, self.config, state, weights)
            save_checkpoint(checkpoint, self.folder / NEWEST)
            if self.config.tune.mode in ("lora", "prompt"):
                save_adapter(self.model, weights, tasks, self.folder / ADAPTER)
            keep_last(self.folder, self.step, self.config.keep_last)
        self._saved_at = self.step


def computed_by_all(precision: Precision, device: torch.device) -> Computed:
    """What the processes compute in: bfloat16 if that is every one's choice."""
    own = computed_in(precision, device)
    share = mean_over_ranks(torch.tensor(float(own == "bfloat16"), device=device))
    return "bfloat16" if float(share) == 1 else "float32"


def train(
    config: TrainConfig,
    folder: Path,
    resume: bool = False,
    device: torch.device | str = "cpu",
    show_bar: bool = False,
) -> Path:
    """Train as ``config`` says and return the checkpoint's folder, ``folder/checkpoint``.

    ``show_bar`` draws a progress bar below the lines of progress. Under ``torchrun`` every process calls this and takes
    its share of every batch. SIGTERM and SIGINT end the training after its step, with a checkpoint.

    Raises:
        CheckpointError: ``resume`` without a checkpoint to go on from, a checkpoint there without ``resume``, or one
            that cannot be written.
        FloatingPointError: a loss or gradient is not finite or too large; the batch is in ``folder/bad_batches``.
        FolderInUseError: another training writes into ``folder``.
        Interrupted: it was asked to stop.
    """
    device = own_device(device)
    checkpoint = folder / NEWEST
    check_beginning(checkpoint, resume)  # before the folder is made
    with noticing_signals() as request, joined_processes(device), folder_in_use(folder):
        training = Training(config, folder, starting_point(config, checkpoint, resume), device)
        is_done = training.run(request, show_bar)
    if not is_done:
        raise Interrupted(request.number or signal.SIGTERM, training.step, checkpoint)
    return checkpoint
