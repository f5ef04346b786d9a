"""Pictures and strings in, typed results out: what the command line and a notebook call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from uniperceiver.checkpoint import Checkpoint, StoredTask, load_checkpoint
from uniperceiver.config import TaskConfig, TaskKind
from uniperceiver.data.images import read_image, to_rgb_tensor
from uniperceiver.data.records import AnnotatedImage, CaptionedImage, LabelledImage, Record
from uniperceiver.data.transforms import test_transform
from uniperceiver.predictions import Caption, Classification, Detection
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import Task, TaskSetting

Picture = str | Path | Image.Image
"""A file, or a picture in memory."""


class Predictor:
    """A checkpoint ready to answer. Pictures are computed one by one, so a result never depends on its neighbours."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        self.model = checkpoint.model.to(self.device).eval()
        self._tasks: dict[tuple[TaskKind, tuple[str, ...] | None], tuple[Task, TaskConfig]] = {}

    @classmethod
    def from_checkpoint(cls, folder: str | Path, device: torch.device | str = "cpu") -> Self:
        """Load a checkpoint folder; CheckpointError if it is not one."""
        return cls(load_checkpoint(Path(folder)), device)

    def classify(
        self, pictures: Picture | Sequence[Picture], labels: Sequence[str] | None = None
    ) -> list[Classification]:
        """Name what each picture shows, among ``labels`` (any texts, any number) or the names it was trained with."""
        records = [LabelledImage(image, "", 0) for image in _tensors(pictures)]
        return self._predict("classification", records, labels)

    def detect(self, pictures: Picture | Sequence[Picture], labels: Sequence[str] | None = None) -> list[Detection]:
        """Boxes and masks of the objects in each picture, named among ``labels`` or the names it was trained with."""
        return self._predict("detection", [_unannotated(image) for image in _tensors(pictures)], labels)

    def caption(self, pictures: Picture | Sequence[Picture]) -> list[Caption]:
        """A sentence about each picture."""
        return self._predict("captioning", [CaptionedImage(image, "", ("",)) for image in _tensors(pictures)], None)

    def _predict(self, kind: TaskKind, records: Sequence[Record], labels: Sequence[str] | None) -> list[Any]:
        task, config = self._task(kind, None if labels is None else tuple(labels))
        transform = test_transform(kind, config.image)
        with torch.inference_mode():
            batches = (task.collate([transform(record)]).to(self.device) for record in records)
            return [prediction for batch in batches for prediction in task.predict(self.model, batch)]

    def _task(self, kind: TaskKind, labels: tuple[str, ...] | None) -> tuple[Task, TaskConfig]:
        """The task, with its candidates encoded once however often it is asked."""
        if labels is not None and not labels:
            raise ValueError("labels is empty: give at least one name, or None for the names it was trained with")
        if (kind, labels) not in self._tasks:
            stored = self._stored(kind)
            setting = TaskSetting(stored.config, self.checkpoint.tokenizer, self.model.config.image.backbone)
            texts, token_ids = (stored.texts, stored.token_ids) if labels is None else (labels, ())
            candidates = CandidateSet.restored(texts, token_ids, self.checkpoint.tokenizer)
            self._tasks[kind, labels] = build_task(setting, candidates), stored.config
        return self._tasks[kind, labels]

    def _stored(self, kind: TaskKind) -> StoredTask:
        """The task of this kind that the model was trained for.

        Of several streams of a kind, the one with the largest test pictures says how pictures are prepared, and the
        candidates of all are candidates.
        """
        stored = [task for task in self.checkpoint.tasks.values() if task.config.kind == kind]
        if not stored:
            known = ", ".join(sorted({task.config.kind for task in self.checkpoint.tasks.values()})) or "nothing"
            raise ValueError(f"this checkpoint was not trained for {kind}; it was trained for {known}")
        largest = max(stored, key=lambda task: task.config.image.test)
        texts = dict.fromkeys(text for task in stored for text in task.texts)
        token_ids = dict.fromkeys(index for task in stored for index in task.token_ids)
        return StoredTask(largest.config, tuple(texts), tuple(token_ids))


def _tensors(pictures: Picture | Sequence[Picture]) -> list[Tensor]:
    listed = [pictures] if isinstance(pictures, str | Path | Image.Image) else pictures
    return [to_rgb_tensor(p) if isinstance(p, Image.Image) else read_image(p) for p in listed]


def _unannotated(image: Tensor) -> AnnotatedImage:
    height, width = image.shape[1:]
    return AnnotatedImage(
        image=image,
        image_id="",
        boxes=torch.zeros(0, 4),
        masks=torch.zeros(0, height, width, dtype=torch.bool),
        labels=torch.zeros(0, dtype=torch.int64),
        is_crowd=torch.zeros(0, dtype=torch.bool),
        original_size=(height, width),
    )
