"""The training that recognised data is good for, as a configuration and as YAML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from uniperceiver.config import (
    DatasetConfig,
    GlueConfig,
    HuggingFaceConfig,
    ImageEncoderConfig,
    ImageSizeConfig,
    OptimizerConfig,
    PatchEncoderConfig,
    ProposalLossConfig,
    ScheduleConfig,
    StreamConfig,
    TaskConfig,
    TaskKind,
    TrainConfig,
    VideoCaptionsConfig,
    VideoCsvConfig,
    is_checkpoint_folder,
    load_config,
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
    "text_classification": 0.12,
}
"""s_k of a task, shared by its data sets: those of the configuration ``realdata``."""
OF_TWO_TEXTS = "{first} {slot} , {second}"
"""The template of texts in pairs, where nothing else is known: v1's for MNLI."""
OF_OBJECTS = frozenset({"coco_instances", "yolo", "voc"})
"""Groups of data whose annotations are regions."""
SMALL = ImageSizeConfig(train=160, test=160, scale=(0.6, 1.0))
TASKS: dict[TaskKind, tuple[TaskConfig, int]] = {
    "detection": (TaskConfig("detection", ImageSizeConfig(train=224, test=224, test_longest=320, scale=(0.5, 1.5))), 8),
    "classification": (TaskConfig("classification", ImageSizeConfig(train=160, test=160, scale=(0.3, 1.0))), 24),
    "captioning": (
        TaskConfig(
            "captioning",
            SMALL,
            max_tokens=24,
            vocabulary_from_data=True,
            sampled_candidates=512,
            captions_per_image=4,
            slots=False,
            beams=4,
            length_penalty=1.0,
            no_repeat_ngram_size=3,
        ),
        16,
    ),
    "retrieval": (TaskConfig("retrieval", SMALL, max_tokens=32), 24),
    "masked_language_modeling": (
        TaskConfig("masked_language_modeling", max_tokens=32, vocabulary_from_data=True, sampled_candidates=512),
        32,
    ),
    "visual_question_answering": (TaskConfig("visual_question_answering", SMALL, max_tokens=32), 24),
    "text_classification": (TaskConfig("text_classification", max_tokens=128), 16),
}
"""Task → its settings and batch size, made for `nano` on a small machine: those of ``realdata`` for its tasks."""
V1_CLIPS = 4
"""Of a video of Kinetics in evaluation (spec/uni_perceiver_v1_moe.md, 8), each in three crops: 12 views."""


def training_plan(data: Sequence[FoundData], model: str) -> TrainConfig:
    """A joint training of every task that ``data`` is good for.

    Args:
        data: what was found.
        model: preset, YAML file or checkpoint.

    Raises:
        RecognitionError: videos for a network that takes pictures, or objects for one without regions.
        ConfigError: there is no such model.
    """
    image = load_config(str(Path(model) / "config.yaml") if is_checkpoint_folder(model) else model).image
    rows = [(entry, task) for entry in data for task in entry.tasks]
    number_of = Counter(task for _, task in rows)
    streams: dict[str, StreamConfig] = {}
    for entry, task in rows:
        settings, batch = TASKS[task]
        _check(entry, model, image)
        if isinstance(image, PatchEncoderConfig):
            settings, batch = _of_patches(settings, image), max(batch // (8 if _is_of_videos(entry) else 1), 2)
        streams[_stream_name(task, streams)] = StreamConfig(
            task=_asked(_of_videos(settings, entry.training) if _is_of_videos(entry) else settings, entry.training),
            dataset=_sampled(entry.training, image),
            batch_size=batch,
            sampling_weight=round(SHARES[task] / number_of[task], 4),
            evaluation=_viewed(_sampled(entry.evaluation, image)),
        )
    return TrainConfig(
        model=model,
        streams=streams,
        schedule=ScheduleConfig(STEPS, warmup_steps=100, decay="cosine", constant=0.3, final=0.02),
        optimizer=OptimizerConfig(
            equal_say="steps",
            learning_rate=4e-4,
            weight_decay=1e-2,
            text_encoder_scale=0.2,
            proposals_scale=1.0,
            decoder_scale=0.15,
        ),
        proposal_loss=ProposalLossConfig(points=256, names=4.0, objectness=4.0),
        precision="auto",
        log_every=20,
        checkpoint_every=500,
    )


def _check(entry: FoundData, model: str, image: ImageEncoderConfig | PatchEncoderConfig) -> None:
    if _is_of_videos(entry) and not isinstance(image, PatchEncoderConfig):
        raise RecognitionError(
            f"{entry.training} lists videos; {model} takes pictures. Give --model a network that reads frames: a "
            "converted checkpoint of Uni-Perceiver v1, or a YAML file with image.kind patches"
        )
    if entry.group in OF_OBJECTS and (isinstance(image, PatchEncoderConfig) or image.proposals is None):
        raise RecognitionError(
            f"{entry.training} annotates objects, but {model} has no regions: give --model a network of v2"
        )


def _is_of_videos(entry: FoundData) -> bool:
    return isinstance(entry.training, VideoCsvConfig | VideoCaptionsConfig)


def _of_patches(task: TaskConfig, image: PatchEncoderConfig) -> TaskConfig:
    """The same task for a network whose places are those of one size of pictures, and which writes in slots (v1)."""
    size = replace(task.image, train=image.image_size, test=image.image_size, squeeze=False)
    return replace(task, image=size, slots=True)


def _of_videos(task: TaskConfig, data: DatasetConfig) -> TaskConfig:
    """The same task without mirrored pictures, as the class may be which way things go; Kinetics in v1's crops."""
    return replace(task, image=replace(task.image, flip=False, crops=3 if _is_of_kinetics(data) else 1))


def _is_of_kinetics(data: DatasetConfig) -> bool:
    """Of lists of videos, recognition gives a stride to Kinetics alone."""
    return isinstance(data, VideoCsvConfig) and data.sampling.stride is not None


def _asked(task: TaskConfig, data: DatasetConfig) -> TaskConfig:
    """Text classification asks in the template of its data: GLUE's, or one for two texts."""
    if isinstance(data, GlueConfig):
        return replace(task, template=data.task)
    has_two = isinstance(data, HuggingFaceConfig) and data.view == "labelled_texts" and data.second is not None
    return replace(task, template=OF_TWO_TEXTS) if has_two else task


def _sampled(config: DatasetConfig, image: ImageEncoderConfig | PatchEncoderConfig) -> DatasetConfig:
    """Videos with no more frames than the network has places for."""
    if not isinstance(config, VideoCsvConfig | VideoCaptionsConfig) or not isinstance(image, PatchEncoderConfig):
        return config
    return replace(config, sampling=config.sampling.within(image.frames))


def _viewed(config: DatasetConfig) -> DatasetConfig:
    """Videos sampled with a stride as v1 evaluates them: from the first frame on, Kinetics in several clips."""
    if not isinstance(config, VideoCsvConfig | VideoCaptionsConfig) or config.sampling.stride is None:
        return config
    clips = V1_CLIPS if _is_of_kinetics(config) else 1
    return replace(config, sampling=replace(config.sampling, start="first", clips=clips))


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
        raise RecognitionError(
            f"{path} is of another training: go on with that by --resume without --data, or choose another --out"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_kinds(short: Any, full: Any) -> Any:
    """``short`` with every ``kind`` of ``full``, which says what the other keys mean."""
    if not isinstance(short, dict):
        return short
    kept = {key: _with_kinds(value, full[key]) for key, value in short.items()}
    return ({"kind": full["kind"]} | kept) if "kind" in full else kept
