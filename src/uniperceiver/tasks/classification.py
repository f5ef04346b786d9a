"""Classification of pictures and of clips: <SPE> ‖ image against class names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, VideoBatch
from uniperceiver.data.batch_augmentation import erase, mix
from uniperceiver.data.records import LabelledImage, LabelledVideo
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Classification
from uniperceiver.tasks.candidates import CandidateSet, Draw
from uniperceiver.tasks.class_logits import class_logits, classification_loss
from uniperceiver.tasks.task import NamedData, SynonymousData, TaskSetting
from uniperceiver.tasks.visual_input import encode_visual, mean_over_views, visual_batch

LISTED = 100
"""Classes named in a prediction, at most."""


@dataclass(frozen=True)
class ClassificationBatch:
    """Pictures, or videos, and their classes."""

    images: ImageBatch | VideoBatch
    labels: Tensor
    """(B,) int64, index into the candidate names."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


class ClassificationTask:
    """x = <SPE> ‖ image, represented at <SPE>; Y = class names. A clip is an image of many frames (v1)."""

    attributes = TaskAttributes(input_image=True, input_text=False)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        self.setting = setting
        self.candidates = candidates

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: NamedData) -> CandidateSet:
        """The class names of a data set, and their synonyms if it has any."""
        synonyms = dataset.synonyms if isinstance(dataset, SynonymousData) else ()
        return CandidateSet.from_texts(dataset.names, setting.tokenizer, synonyms)

    def collate(self, records: Sequence[LabelledImage | LabelledVideo]) -> ClassificationBatch:
        """Pictures or videos as `visual_batch` makes them, and their classes."""
        return ClassificationBatch(
            visual_batch(records, self.setting.backbone), torch.tensor([r.label for r in records])
        )

    def loss(self, model: UniPerceiver, batch: ClassificationBatch) -> dict[str, Tensor]:
        """Eq. (7): the mean over the pictures."""
        drawn = self.candidates.draw(batch.labels, self.setting.config.sampled_candidates)
        images, targets = self._augmented(batch.images, drawn)
        logits = self._logits(model, batch, encode_visual(model, images), drawn.index)
        return {"names": classification_loss(logits, targets, self.setting.config.label_smoothing)}

    def _augmented(self, images: ImageBatch | VideoBatch, drawn: Draw) -> tuple[ImageBatch | VideoBatch, Tensor]:
        """Pictures erased and mixed as the configuration says; their classes (B,), or shares (B, n) of the drawn ones.

        Pictures of a training have one size and no padding.
        """
        config, pixels, targets = self.setting.config, images.pixels, drawn.targets
        if config.random_erasing:
            pixels = erase(pixels, config.random_erasing)
        if config.mixup or config.cutmix:
            classes = len(self.candidates) if drawn.index is None else len(drawn.index)
            pixels, targets = mix(pixels, targets, classes, config.mixup, config.cutmix)
        return replace(images, pixels=pixels), targets

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: ClassificationBatch, features: ImageFeatures | None = None
    ) -> list[Classification]:
        """The most likely classes of every picture, Eq. (5), at most `LISTED`.

        Of a video, those that are the most likely on average over its views.
        """
        logits = self._logits(model, batch, features or encode_visual(model, batch.images))
        probabilities = mean_over_views(logits.log_softmax(dim=1).double().exp(), batch.images.views)
        best = probabilities.topk(min(LISTED, len(self.candidates)), dim=1)
        return [
            Classification(index, tuple(self.candidates.texts[i] for i in index), probability)
            for index, probability in zip(best.indices.cpu().numpy(), best.values.cpu().numpy(), strict=True)
        ]

    def _logits(
        self, model: UniPerceiver, batch: ClassificationBatch, features: ImageFeatures, index: Tensor | None = None
    ) -> Tensor:
        """(B, Y), or (B, n) for the candidates at ``index``."""
        x = model.summary(features.segment, attributes=self.attributes)
        return class_logits(model, x, self.candidates, self.attributes, _temperature(model, batch), index)


def _temperature(model: UniPerceiver, batch: ClassificationBatch) -> Tensor:
    """v1 has temperatures of their own for pictures and for clips."""
    return model.temperature("video_cls" if isinstance(batch.images, VideoBatch) else "img_cls")
