"""One run: trained or gone on with, evaluated, its figures written last, so that a finished run is known as such."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from uniperceiver.atomic_files import written_whole
from uniperceiver.config import ConfigError, ModelConfig, TrainConfig, load_config, load_train_config, to_data
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
from uniperceiver.evaluation.metric_values import with_nulls
from uniperceiver.evaluation.report import StreamReport
from uniperceiver.reproduction.baseline import Baseline
from uniperceiver.reproduction.variation import Variation, model_of, training_of
from uniperceiver.training.processes import train_in_processes
from uniperceiver.training.train import train


@dataclass(frozen=True)
class Run:
    """A variation with a seed, and the folder of its results."""

    variation: Variation
    seed: int
    folder: Path
    model: ModelConfig
    training: TrainConfig
    processes: int

    @property
    def results_file(self) -> Path:
        """Written when everything is done."""
        return self.folder / "results.json"

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.results_file.is_file()


@dataclass(frozen=True)
class RunResult:
    """The metrics of a run."""

    metrics: dict[str, dict[str, float | None]]
    """Stream → metric → fraction; None where undefined."""


def plan_run(baseline: Baseline, variation: Variation, seed: int, out: Path) -> Run:
    """The run of a variation with a seed, in ``out/<name>-seed<seed>``.

    Raises:
        ConfigError: the folder holds a run of another configuration, or a stream would get no step.
    """
    folder = out / f"{variation.name(baseline)}-seed{seed}"
    training = training_of(baseline, variation, seed, str(folder / "model.yaml"))
    run = Run(variation, seed, folder, model_of(baseline, variation), training, baseline.processes)
    _check_unchanged(run)
    return run


def _check_unchanged(run: Run) -> None:
    written = run.folder / "train.yaml"
    if not written.is_file() or not (run.folder / "model.yaml").is_file():
        return
    # The folder may have been moved since.
    training = replace(load_train_config(str(written)), model=run.training.model)
    if training != run.training or load_config(str(run.folder / "model.yaml")) != run.model:
        theirs, wanted = training.schedule.steps, run.training.schedule.steps
        steps = f" (it has {theirs} steps, {wanted} are wanted)" if theirs != wanted else ""
        raise ConfigError(
            f"{run.folder} is a run of another configuration{steps}: give another --out, or remove the folder to run "
            "it anew"
        )


def execute(run: Run, device: str, keeps_checkpoint: bool) -> RunResult:
    """Train and evaluate a run; go on where it was interrupted.

    The folder ends up with ``train.yaml`` and ``model.yaml``, with which ``uniperceiver train`` makes the model again,
    ``log.jsonl``, ``report.json``, ``report.html`` and ``results.json``.

    Args:
        run: not finished.
        device: where to compute.
        keeps_checkpoint: False: the checkpoint is removed once its figures are written.

    Raises:
        ChildProcessError: one of several training processes failed; the same call goes on from the last checkpoint.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    _write_config(to_data(run.model), run.folder / "model.yaml")
    _write_config(to_data(run.training), run.folder / "train.yaml")
    checkpoint = run.folder / "checkpoint"
    is_begun = checkpoint.is_dir() or (run.folder / ".checkpoint.old").is_dir()
    if run.processes == 1:
        train(run.training, run.folder, resume=is_begun, device=device)
    else:
        train_in_processes(run.training, run.folder, run.processes, resume=is_begun, device=device)
    reports = evaluate_checkpoint(checkpoint, run.training, None, run.folder / "report.json", device)
    _write_results(run, reports)
    if not keeps_checkpoint:
        shutil.rmtree(checkpoint)
    return read_result(run)


def _write_results(run: Run, reports: dict[str, StreamReport]) -> None:
    """Whole or not at all, since the file says that the run is finished."""
    content = {
        "schema": 1,
        "run": run.folder.name,
        "seed": run.seed,
        "steps": run.training.schedule.steps,
        "processes": run.processes,
        "learning_rate": run.training.optimizer.learning_rate,
        "scale": "fractions of one; CIDEr-D from 0 to 10",
        "streams": {
            name: {
                "task": report.task,
                "count": report.result.count,
                "metrics": with_nulls(report.result.metrics),
            }
            for name, report in reports.items()
        },
    }
    with written_whole(run.results_file) as fresh:
        fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_result(run: Run) -> RunResult:
    """The figures of a finished run."""
    content = json.loads(run.results_file.read_text(encoding="utf-8"))
    return RunResult({name: stream["metrics"] for name, stream in content["streams"].items()})


def _write_config(data: object, path: Path) -> None:
    """As YAML that reads back as it is: a ``$`` of a path is no place to fill in."""
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    path.write_text(text.replace("$", "$$"), encoding="utf-8")
