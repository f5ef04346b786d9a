"""Data sets opened for a task: whether they are of the kind that it reads, and have anything for it."""

from __future__ import annotations

from typing import Any

from uniperceiver.config import DatasetConfig, TaskKind
from uniperceiver.data.datasets import Dataset, open_dataset
from uniperceiver.data.records import (
    AnnotatedImage,
    CaptionedImage,
    CaptionedVideo,
    LabelledImage,
    LabelledText,
    LabelledVideo,
    OutlinedImage,
    PairedText,
    QuestionedImage,
    TextRecord,
)

RECORDS: dict[TaskKind, tuple[type[Any], ...]] = {
    "classification": (LabelledImage, LabelledVideo),
    "detection": (AnnotatedImage, OutlinedImage),
    "captioning": (CaptionedImage, CaptionedVideo),
    "retrieval": (CaptionedImage, CaptionedVideo, PairedText),
    "masked_language_modeling": (TextRecord, CaptionedImage),
    "visual_question_answering": (QuestionedImage,),
    "language_modeling": (TextRecord, CaptionedImage),
    "text_classification": (LabelledText,),
}
"""What each task reads."""


class TaskDataError(ValueError):
    """A data set that a task cannot use; the message says what it holds and what was expected."""


def open_data_for(kind: TaskKind, config: DatasetConfig) -> Dataset:
    """The data set of a configuration, of which the first record is looked at.

    Raises:
        DatasetError: files missing, broken or inconsistent.
        ImageError: the first picture is missing or cannot be read.
        TaskDataError: no record, records of another kind, or for detection no annotated object at all.
    """
    dataset = open_dataset(config)
    task = kind.replace("_", " ")
    if len(dataset) == 0:
        raise TaskDataError(f"{task} has no data: {dataset!r} is empty")
    first = dataset[0]
    if not isinstance(first, RECORDS[kind]):
        expected = " or ".join(record.__name__ for record in RECORDS[kind])
        raise TaskDataError(
            f"{task} reads records of type {expected}, but those of {dataset!r} are of type {type(first).__name__}: "
            "give the stream a data set, or for scenes a view, that fits its task"
        )
    if isinstance(first, AnnotatedImage | OutlinedImage) and not _has_objects(dataset):
        raise TaskDataError(f"{task} has nothing to find: {dataset!r} has no annotated object in any picture")
    return dataset


def _has_objects(dataset: Any) -> bool:
    return any(len(labels) for _, labels in dataset.objects())
