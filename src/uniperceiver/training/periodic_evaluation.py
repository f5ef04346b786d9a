"""Evaluation while training goes on: every stream that has held-out data, on rank 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from uniperceiver.config import Parallel, TrainConfig
from uniperceiver.data.transforms import test_transform
from uniperceiver.distributed import rank, world_size
from uniperceiver.evaluation.evaluate import evaluate
from uniperceiver.evaluation.metric_names import check_metric
from uniperceiver.evaluation.metric_values import with_nulls
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.fitting_data import open_data_for
from uniperceiver.tasks.task import Task
from uniperceiver.training.parallel import whole, whole_weights


class PeriodicEvaluation:
    """Every metric of every evaluated stream, written to ``evaluations.jsonl`` and printed."""

    def __init__(self, config: TrainConfig, tasks: Mapping[str, Task], folder: Path) -> None:
        """Open the data that are evaluated.

        Raises:
            ValueError: no stream has such data, or ``keep_best`` is no metric of its stream's task.
        """
        if config.keep_best is not None:
            stream, _, metric = config.keep_best.rpartition("/")
            try:
                check_metric(config.streams[stream].task.kind, metric)
            except ValueError as error:
                raise ValueError(f"keep_best: {config.keep_best}: {error}") from None
        self._rows = config.streams
        self._datasets = {
            name: open_data_for(row.task.kind, row.evaluation)
            for name, row in config.streams.items()
            if row.evaluation is not None
        }
        if not self._datasets:
            raise ValueError("evaluate_every is given, but no stream has evaluation data: give one or leave it out")
        self._tasks = tasks
        self._file = folder / "evaluations.jsonl"
        self._best = config.keep_best
        self._workers = config.workers

    def __call__(self, model: UniPerceiver, step: int) -> dict[str, float]:
        """STREAM/METRIC → value, as fractions, after ``step`` steps. Training's random draws stay as they were."""
        metrics: dict[str, float] = {}
        with torch.random.fork_rng():
            for name, dataset in self._datasets.items():
                row = self._rows[name]
                result = evaluate(
                    model,
                    self._tasks[name],
                    dataset,
                    test_transform(row.task.kind, row.task.image),
                    batch_size=row.batch_size,
                    workers=self._workers,
                    show_progress=False,
                )
                metrics |= {f"{name}/{metric}": value for metric, value in result.metrics.items()}
        if self._best is not None and self._best not in metrics:
            raise ValueError(f"keep_best: no metric {self._best!r}; there are {', '.join(metrics)}")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "metrics": with_nulls(metrics)}) + "\n")
        line = " ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        Console(highlight=False, soft_wrap=True).print(f"evaluation after step {step}: {line}", markup=False)
        return metrics


def evaluated_model(model: UniPerceiver, replaced: Mapping[str, Tensor], kind: Parallel) -> UniPerceiver:
    """The model to evaluate: the one in training, or a copy where its weights are sharded or ``replaced`` by others.

    Every process must call it; only rank 0 needs what it gives.
    """
    is_sharded = kind == "fsdp" and world_size() > 1
    if not replaced and not is_sharded:
        return model
    weights = whole_weights(model) | {name: whole(tensor) for name, tensor in replaced.items()}
    if rank() != 0:
        return model
    device = next(model.parameters()).device
    copy = UniPerceiver(model.config).to(device)
    copy.load_state_dict(weights)
    return copy
