"""What recognition finds: parts of data sets, and pairs of a training part with an evaluation part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from uniperceiver.config import DatasetConfig, FoldConfig, ScenesConfig, TaskKind
from uniperceiver.data.datasets.annotation_files import DatasetError

Split = Literal["train", "val", "test"]
FOLDS = 10
"""Where a data set has no evaluation part, every tenth record becomes one."""
WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
TASKS: dict[str, tuple[TaskKind, ...]] = {
    "coco_instances": ("detection",),
    "yolo": ("detection",),
    "voc": ("detection",),
    "image_folder": ("classification",),
    "image_list": ("classification",),
    "webdataset": ("classification",),
    "coco_captions": ("captioning", "retrieval"),
    "karpathy_captions": ("captioning", "retrieval"),
    "image_text_pairs": ("captioning", "retrieval"),
    "webdataset_pairs": ("captioning", "retrieval"),
    "visual_genome": ("captioning", "retrieval"),
    "vqa": ("visual_question_answering",),
    "plain_text": ("masked_language_modeling",),
    "glue": ("text_classification",),
    "labelled_texts": ("text_classification",),
    "text_pairs": ("retrieval",),
    "video_csv": ("classification",),
    "video_captions": ("captioning", "retrieval"),
    "labels": ("classification",),
    "captions": ("captioning", "retrieval"),
    "questions": ("visual_question_answering",),
    "texts": ("masked_language_modeling",),
}
"""Kind, or view of a saved Hugging Face data set, → the tasks it is good for."""


class RecognitionError(DatasetError):
    """Data that is of no known format, or of several; the message says what was looked for."""


@dataclass(frozen=True)
class Part:
    """A part of a data set, e.g. its training part."""

    config: DatasetConfig
    source: Path
    """What it was recognised by."""
    split: Split | None
    """What names say it is for; None: nothing."""
    group: str
    """Kind, or the view of a Hugging Face data set: parts of one group belong together."""


@dataclass(frozen=True)
class FoundData:
    """A data set to train on, and one to evaluate on."""

    group: str
    training: DatasetConfig
    evaluation: DatasetConfig
    origin: str
    """Where the evaluation part comes from, in words."""

    @property
    def tasks(self) -> tuple[TaskKind, ...]:
        """The tasks it is good for."""
        return TASKS[self.group]


def split_of(name: str) -> Split | None:
    """The split that a file's or folder's name speaks of: ``instances_val2017`` → ``val``."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if word in WORDS:
            return WORDS[word]
    return None


def split_along(path: Path) -> Split | None:
    """The split that a path's own name, else the folder it is in, speaks of."""
    return split_of(path.name) or split_of(path.parent.name)


def paired(parts: Sequence[Part]) -> list[FoundData]:
    """The parts of each group as a training part with an evaluation part, split off where there is none.

    Raises:
        RecognitionError: several parts of one group for one use.
    """
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    return [_pair(group, members) for group, members in groups.items()]


def _pair(group: str, parts: list[Part]) -> FoundData:
    training = _only(group, _first_of(parts, "train", None), "train on")
    evaluation = _only(group, _first_of(parts, "val", "test"), "evaluate on")
    others = [str(part.source) for part in parts if part not in (training, evaluation)]
    unused = f"; not used: {', '.join(others)}" if others else ""
    if training is not None and evaluation is not None:
        return FoundData(group, training.config, evaluation.config, f"evaluated on {evaluation.source}{unused}")
    whole = training or evaluation
    assert whole is not None
    assert not isinstance(whole.config, ScenesConfig)
    parted = [replace(whole.config, fold=FoldConfig(FOLDS, held_out=held_out)) for held_out in (False, True)]
    origin = f"no other part was found, so every {FOLDS}th record is held out for evaluation{unused}"
    return FoundData(group, parted[0], parted[1], origin)


def _first_of(parts: Sequence[Part], *splits: Split | None) -> list[Part]:
    """The parts of the first of ``splits`` that has any."""
    return next((found for split in splits if (found := [part for part in parts if part.split == split])), [])


def _only(group: str, parts: Sequence[Part], use: str) -> Part | None:
    if len(parts) > 1:
        listed = ", ".join(str(part.source) for part in parts)
        raise RecognitionError(f"several {group} data sets to {use}: {listed}; give --data the one you mean")
    return parts[0] if parts else None
