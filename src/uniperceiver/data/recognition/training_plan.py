"""The training that recognised data is good for, as a configuration and as YAML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from uniperceiver.config import (
    ImageSizeConfig,
    OptimizerConfig,
    ProposalLossConfig,
    ScheduleConfig,
    StreamConfig,
    TaskConfig,
    TaskKind,
    TrainConfig,
    VideoCsvConfig,
)
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.recognition.found import FoundData, RecognitionError

STEPS = 6000
"""Default length, an hour of `nano` on two cores."""
SHARES: dict[TaskKind, float] = {
    "detection": 0.40,
    "classification": 0.18,
    "captioning": 0.17,
    "retrieval": 0.13,
    "masked_language_modeling": 0.12,
    "visual_question_answering": 0.18,
}
"""s_k of a task, shared by its data sets: those of the configuration ``realdata``."""
SMALL = ImageSizeConfig(train=160, test=160, scale=(0.6, 1.0))
TASKS: dict[TaskKind, tuple[TaskConfig, int]] = {
    "detection": (TaskConfig("detection", ImageSizeConfig(train=224, test=224, test_longest=320, scale=(0.5, 1.5))), 8),
    "classification": (TaskConfig("classification", ImageSizeConfig(train=160, test=160, scale=(0.3, 1.0))), 24),
    "captioning": (TaskConfig("captioning", SMALL, max_tokens=24, vocabulary_from_data=True), 16),
    "retrieval": (TaskConfig("retrieval", SMALL, max_tokens=32), 24),
    "masked_language_modeling": (
        TaskConfig("masked_language_modeling", max_tokens=32, vocabulary_from_data=True, sampled_candidates=512),
        32,
    ),
    "visual_question_answering": (TaskConfig("visual_question_answering", SMALL, max_tokens=32), 24),
}
"""Task → its settings and batch size, made for `nano` on a small machine."""


def training_plan(data: Sequence[FoundData], model: str) -> TrainConfig:
    """A joint training of every task that ``data`` is good for.

    Raises:
        RecognitionError: videos, which no shipped training of this version's pictures-only network takes.
    """
    rows = [(entry, task) for entry in data for task in entry.tasks]
    videos = [entry for entry in data if isinstance(entry.training, VideoCsvConfig)]
    if videos:
        raise RecognitionError(
            f"{videos[0].training} lists videos; {model} takes pictures. Videos are for the models of the first version"
        )
    number_of = Counter(task for _, task in rows)
    streams: dict[str, StreamConfig] = {}
    for entry, task in rows:
        settings, batch = TASKS[task]
        streams[_stream_name(task, streams)] = StreamConfig(
            task=settings,
            dataset=entry.training,
            batch_size=batch,
            sampling_weight=round(SHARES[task] / number_of[task], 4),
            evaluation=entry.evaluation,
        )
    return TrainConfig(
        model=model,
        streams=streams,
        schedule=ScheduleConfig(STEPS, warmup_steps=100, decay="cosine", constant=0.3, final=0.02),
        optimizer=OptimizerConfig(
            learning_rate=4e-4, weight_decay=1e-2, text_encoder_scale=0.2, proposals_scale=1.0, decoder_scale=0.2
        ),
        proposal_loss=ProposalLossConfig(points=256),
        precision="bfloat16",
        log_every=20,
        checkpoint_every=500,
    )


def _stream_name(task: TaskKind, taken: dict[str, StreamConfig]) -> str:
    number = sum(row.task.kind == task for row in taken.values())
    return task if not number else f"{task}_{number + 1}"


def describe(data: Sequence[FoundData]) -> list[str]:
    """Lines for people: what was found, how much of it, what it trains; every data set is opened and checked."""
    lines = []
    for entry in data:
        training, evaluation = open_dataset(entry.training), open_dataset(entry.evaluation)
        tasks = " and ".join(task.replace("_", " ") for task in entry.tasks)
        lines.append(f"found {training!r}: trains {tasks}")
        lines.append(f"  {entry.origin} ({len(evaluation)} records)")
    return lines


def write_plan(plan: TrainConfig, path: Path) -> None:
    """Write a training as YAML, without what is default, so that ``uniperceiver train FILE`` runs the same training.

    Raises:
        RecognitionError: the file is there already and says something else.
    """
    adapter = TypeAdapter(TrainConfig)
    short = adapter.dump_python(plan, mode="json", exclude_defaults=True)
    content = _with_kinds(short, adapter.dump_python(plan, mode="json"))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    text = text.replace("$", "$$")  # a dollar sign begins a place to fill in
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise RecognitionError(f"{path} is of another training: go on with that by --resume, or choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_kinds(short: Any, full: Any) -> Any:
    """``short`` with every ``kind`` of ``full``, which says what the other keys mean."""
    if not isinstance(short, dict):
        return short
    kept = {key: _with_kinds(value, full[key]) for key, value in short.items()}
    return ({"kind": full["kind"]} | kept) if "kind" in full else kept
