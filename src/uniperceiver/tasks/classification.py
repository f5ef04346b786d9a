"""Classification of pictures and of clips: <SPE> ‖ image against class names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch, VideoBatch
from uniperceiver.config import PatchEncoderConfig
from uniperceiver.data.records import LabelledImage, LabelledVideo
from uniperceiver.likelihood import log_likelihood, negative_log_likelihood
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Classification
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import NamedData, TaskSetting

LISTED = 100
"""Classes named in a prediction, at most."""


@dataclass(frozen=True)
class ClassificationBatch:
    """Pictures, or clips, and their classes."""

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
        """The class names of a data set."""
        return CandidateSet.from_texts(dataset.names, setting.tokenizer)

    def collate(self, records: Sequence[LabelledImage | LabelledVideo]) -> ClassificationBatch:
        """Pictures normalised and padded to one size, or clips of one shape, and their classes.

        Raises:
            ValueError: clips for a model that reads single pictures.
        """
        return ClassificationBatch(self._images(records), torch.tensor([r.label for r in records]))

    def _images(self, records: Sequence[LabelledImage | LabelledVideo]) -> ImageBatch | VideoBatch:
        backbone = self.setting.backbone
        clips = [record.frames for record in records if isinstance(record, LabelledVideo)]
        if not clips:
            pictures = [record.image for record in records if isinstance(record, LabelledImage)]
            return ImageBatch.from_images(pictures, backbone.image_mean, backbone.image_std)
        if not isinstance(backbone, PatchEncoderConfig):
            raise ValueError("videos need a model whose f_image reads frames (image.kind patches, v1)")
        return VideoBatch.from_videos(clips, backbone.video_mean, backbone.video_std)

    def loss(self, model: UniPerceiver, batch: ClassificationBatch) -> dict[str, Tensor]:
        """Eq. (7): the mean over the pictures."""
        drawn = self.candidates.draw(batch.labels, self.setting.config.sampled_candidates)
        names = self.candidates.encode(model, self.attributes, drawn.index)
        x = self._represent(model, _encode(model, batch))
        return {"names": negative_log_likelihood(x, names, _temperature(model, batch), drawn.targets).mean()}

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: ClassificationBatch, features: ImageFeatures | None = None
    ) -> list[Classification]:
        """The most likely classes of every picture, Eq. (5), at most `LISTED`."""
        names = self.candidates.encode(model, self.attributes)
        x = self._represent(model, features or _encode(model, batch))
        log_probabilities = log_likelihood(x, names, _temperature(model, batch))
        best = log_probabilities.double().exp().topk(min(LISTED, len(self.candidates)), dim=1)
        return [
            Classification(index, tuple(self.candidates.texts[i] for i in index), probability)
            for index, probability in zip(best.indices.cpu().numpy(), best.values.cpu().numpy(), strict=True)
        ]

    def _represent(self, model: UniPerceiver, features: ImageFeatures) -> Tensor:
        return model.decode(features.segment, attributes=self.attributes).spe


def _encode(model: UniPerceiver, batch: ClassificationBatch) -> ImageFeatures:
    if isinstance(batch.images, VideoBatch):
        return ImageFeatures(model.encode_video(batch.images), None)
    return model.encode_image(batch.images)


def _temperature(model: UniPerceiver, batch: ClassificationBatch) -> Tensor:
    """v1 has temperatures of their own for pictures and for clips."""
    return model.temperature("video_cls" if isinstance(batch.images, VideoBatch) else "img_cls")
