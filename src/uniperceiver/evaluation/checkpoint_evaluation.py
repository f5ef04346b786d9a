"""Evaluation of a checkpoint: every stream of a configuration on its held-out data."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from uniperceiver.adapter import adapted
from uniperceiver.atomic_files import write_whole
from uniperceiver.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from uniperceiver.config import ConfigError, StreamConfig, TrainConfig
from uniperceiver.data.datasets import Dataset
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.recognition.found import FoundData
from uniperceiver.data.transforms import test_transform
from uniperceiver.distributed import usable_device
from uniperceiver.evaluation.evaluate import evaluate
from uniperceiver.evaluation.example_collection import ExampleCollector
from uniperceiver.evaluation.html_report import write_html_report
from uniperceiver.evaluation.recognised_data import prepared_for
from uniperceiver.evaluation.report import StreamReport, write_report
from uniperceiver.tasks import NAMING_TASKS, build_task, find_candidates
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.fitting_data import open_data_for
from uniperceiver.tasks.task import Task, TaskSetting


def evaluate_checkpoint(
    folder: Path,
    config: TrainConfig | None,
    streams: Sequence[str] | None,
    report: Path,
    device: torch.device | str = "cpu",
    average: bool = False,
    adapter: Path | None = None,
    data: Sequence[FoundData] = (),
    workers: int = 0,
) -> dict[str, StreamReport]:
    """Evaluate the model in ``folder``, print a table, write ``report`` and beside it the same as HTML, with pictures.

    Args:
        folder: a checkpoint.
        config: whose evaluation data to use; None: those the checkpoint was trained with.
        streams: names of streams to evaluate; None: all that have evaluation data.
        report: the JSON file to write. The HTML file has its name but for the suffix; its curves come from the
            ``log.jsonl`` that training writes beside the checkpoint.
        device: where to compute.
        average: evaluate the moving average of the weights (``weight_average`` in training) in their place.
        adapter: a file of prompts or low-rank updates (`uniperceiver.adapter`) to put onto the model.
        data: what was recognised, to evaluate on in place of ``config``'s data; streams are named by their tasks.
        workers: processes that load records ahead.

    Raises:
        CheckpointError: not a checkpoint, or one without a training configuration while ``config`` is None.
        ConfigError: a stream that is unknown or has no evaluation data.
        ValueError: ``report`` has the name of the HTML file, or is a folder; or there is no such device.
    """
    if report.suffix == ".html":
        raise ValueError(f"--out {report} is where the JSON goes: name it .json, the HTML file is written beside it")
    if report.is_dir():
        raise ValueError(f"--out {report} is a folder: name the file in it that the JSON goes to, report.json")
    checkpoint = load_checkpoint(folder, usable_device(device), average)
    if adapter is not None:
        checkpoint = adapted(checkpoint, adapter)
    if data:
        checkpoint, rows = prepared_for(checkpoint, data, folder)
    else:
        rows = _rows(checkpoint, config, folder)
    chosen = _chosen(rows, streams)
    reports: dict[str, StreamReport] = {}
    for name, stream in chosen.items():
        reports |= _evaluate_stream(checkpoint, name, stream, workers)
    write_report(report, str(folder), reports)
    write_html_report(report.with_suffix(".html"), str(folder), reports, folder.parent / "log.jsonl")
    return reports


def write_predictions(folder: Path, reports: Mapping[str, StreamReport]) -> list[Path]:
    """Write ``STREAM.json`` for every stream with answers to questions, as the official evaluation reads them.

    Raises:
        ValueError: no stream has any.
    """
    found = {folder / f"{name}.json": report.result.predictions for name, report in reports.items()}
    written = {file: rows for file, rows in found.items() if rows}
    if not written:
        raise ValueError(
            f"no predictions to write to {folder}: they are answers to questions with ids, and the evaluated streams "
            f"({', '.join(reports)}) have none; leave out --predictions"
        )
    for file, rows in written.items():
        write_whole(file, json.dumps(list(rows), ensure_ascii=False).encode())
    return list(written)


def _rows(checkpoint: Checkpoint, config: TrainConfig | None, folder: Path) -> dict[str, StreamConfig]:
    config = config or checkpoint.training
    if config is None:
        raise CheckpointError(
            f"{folder} does not say what it was trained on: give --data, or --config with its --path and --set options"
        )
    return config.streams


def _chosen(rows: Mapping[str, StreamConfig], streams: Sequence[str] | None) -> dict[str, StreamConfig]:
    with_data = {name: stream for name, stream in rows.items() if stream.evaluation is not None}
    missing = [name for name in streams or [] if name not in with_data]
    if missing or not with_data:
        known = ", ".join(with_data) or "none"
        raise ConfigError(
            f"no evaluation data for {', '.join(missing) or 'any stream'}; streams that have some: {known}"
        )
    return {name: with_data[name] for name in streams} if streams else with_data


def _evaluate_stream(checkpoint: Checkpoint, name: str, stream: StreamConfig, workers: int) -> dict[str, StreamReport]:
    """The report of a stream and, where it has data of names that training never saw, of these."""
    assert stream.evaluation is not None
    kind = stream.task.kind
    evaluated = open_data_for(kind, stream.evaluation)
    stored = checkpoint.tasks.get(name)
    is_known = stored is not None and stored.has_candidates
    training = _training_data(name, stream, evaluated, is_needed=not is_known)
    setting = TaskSetting(stream.task, checkpoint.tokenizer, checkpoint.model.config.pixels)
    if stored is not None and is_known:
        candidates = CandidateSet.restored(stored.texts, stored.token_ids, checkpoint.tokenizer)
    else:  # the checkpoint was not trained on the stream, or came without candidates: those that training would find
        assert training is not None
        candidates = find_candidates(setting, training)
    task = build_task(setting, candidates)
    reports = {name: _evaluate_data(checkpoint, task, stream, evaluated, training, workers)}
    if stream.held_out_evaluation is not None:
        novel = open_data_for(kind, stream.held_out_evaluation)
        if kind in NAMING_TASKS:
            task = build_task(setting, find_candidates(setting, novel))
        reports[f"{name}-held-out"] = _evaluate_data(checkpoint, task, stream, novel, None, workers)
    return reports


def _training_data(name: str, stream: StreamConfig, evaluated: Dataset, is_needed: bool) -> Dataset | None:
    """What the stream was trained on; None, with a warning: it is not there, and only trivial baselines need it."""
    if stream.dataset == stream.evaluation:  # data that were given alone, with --data, are both
        return evaluated
    try:
        return open_data_for(stream.task.kind, stream.dataset)
    except DatasetError as error:
        if is_needed:
            raise
        warnings.warn(
            f"{name}: the training data cannot be opened, so trivial baselines come from the evaluated data ({error})",
            stacklevel=2,
        )
        return None


def _evaluate_data(
    checkpoint: Checkpoint,
    task: Task,
    stream: StreamConfig,
    dataset: Dataset,
    training: Dataset | None,
    workers: int,
) -> StreamReport:
    """``training`` gives the trivial baselines; None: the evaluated data, for what training never saw."""
    examples = ExampleCollector(dataset, checkpoint.tokenizer)
    result = evaluate(
        checkpoint.model,
        task,
        dataset,
        test_transform(stream.task.kind, stream.task.image),
        batch_size=stream.batch_size,
        workers=workers,
        training=training,
        examples=examples,
    )
    return StreamReport(stream.task.kind, repr(dataset), result, examples.sheet())
