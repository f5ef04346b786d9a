"""Image-text retrieval: <SPE> ‖ image against the captions of the batch, and the captions against the images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.data.records import CaptionedImage
from uniperceiver.distributed import gather, gather_with_gradient, rank
from uniperceiver.likelihood import similarity
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Embeddings
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting, seeded_generator


@dataclass(frozen=True)
class RetrievalBatch:
    """Pictures and their captions."""

    images: ImageBatch
    text: TextBatch
    """(N, L), all captions of all pictures, picture by picture."""
    drawn: Tensor
    """(B,) int64 into the N captions, the partner of each picture in training."""
    image_keys: Tensor
    """(B,) int64, equal for the same picture."""
    text_keys: Tensor
    """(B,) int64, equal where the drawn captions say the same."""
    counts: tuple[int, ...]
    """Number of captions of each of the B pictures."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            images=self.images.to(device),
            text=self.text.to(device),
            drawn=self.drawn.to(device),
            image_keys=self.image_keys.to(device),
            text_keys=self.text_keys.to(device),
        )


class RetrievalTask:
    """Each side's Y is the other side of the batch, gathered over all processes.

    The picture is the input and the caption the target, with the routing attributes that follow; both directions
    compare the same two representations (v1: spec/uni_perceiver_v1_moe.md, section 6).
    """

    attributes = TaskAttributes(input_image=True, input_text=False)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        """``candidates`` is empty, since the targets are in the batch, or has the texts that a user compares with."""
        self.setting = setting
        self.candidates = candidates

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: object) -> CandidateSet:
        """None: the targets are in the batch."""
        return CandidateSet.from_texts((), setting.tokenizer)

    def collate(self, records: Sequence[CaptionedImage]) -> RetrievalBatch:
        """All captions as token ids, long ones cut at the end, and one drawn per picture."""
        tokenizer, backbone = self.setting.tokenizer, self.setting.backbone
        texts = [caption for record in records for caption in record.captions]
        ids = tokenizer.encode_batch(texts, self.setting.config.max_tokens)
        counts = tuple(len(record.captions) for record in records)
        generator = seeded_generator()
        drawn = [
            first + generator.randrange(count) for first, count in zip(accumulate((0, *counts)), counts, strict=False)
        ]
        return RetrievalBatch(
            images=ImageBatch.from_images([r.image for r in records], backbone.image_mean, backbone.image_std),
            text=TextBatch.from_ids(ids, tokenizer.padding_id),
            drawn=torch.tensor(drawn),
            image_keys=torch.tensor([_key(r.image_id) for r in records]),
            text_keys=torch.tensor([_key(str(ids[row])) for row in drawn]),
            counts=counts,
        )

    def loss(self, model: UniPerceiver, batch: RetrievalBatch) -> dict[str, Tensor]:
        """Eq. (7) in both directions, each the mean over the pairs of this process.

        Negatives are all other pairs of all processes, or of this one alone (``gather_negatives``), except those that
        are the same picture or say the same: these would be right answers counted as wrong.
        Paper: silent on the direction and on equal captions. Both directions are added, as in v1.
        """
        images = self._images(model, model.encode_image(batch.images))
        texts = self._texts(model, batch.text.rows(batch.drawn))
        all_images, all_texts, image_keys, text_keys = images, texts, batch.image_keys, batch.text_keys
        own = torch.arange(len(images), device=images.device)
        if self.setting.config.gather_negatives:
            all_images, all_texts = gather_with_gradient(images), gather_with_gradient(texts)
            image_keys, text_keys = gather(image_keys), gather(text_keys)
            sizes = gather(torch.tensor([len(images)], device=images.device)).tolist()
            own = own + sum(sizes[: rank()])
        is_same = (batch.image_keys[:, None] == image_keys) | (batch.text_keys[:, None] == text_keys)
        is_same[torch.arange(len(own), device=own.device), own] = False
        temperature = model.temperature("retrieve")
        return {
            "image_to_text": _contrast(similarity(images, all_texts, temperature), own, is_same),
            "text_to_image": _contrast(similarity(texts, all_images, temperature), own, is_same),
        }

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: RetrievalBatch, features: ImageFeatures | None = None
    ) -> list[Embeddings]:
        """Unit vectors of every picture and of all its captions."""
        images = self.embed_images(model, features or model.encode_image(batch.images)).cpu().numpy()
        texts = F.normalize(self._texts(model, batch.text).float(), dim=-1).cpu().split(batch.counts)
        return [Embeddings(image, own.numpy()) for image, own in zip(images, texts, strict=True)]

    def embed_images(self, model: UniPerceiver, features: ImageFeatures) -> Tensor:
        """Unit vectors (B, D) float32 of pictures that f_image has seen."""
        return F.normalize(self._images(model, features).float(), dim=-1)

    def _images(self, model: UniPerceiver, features: ImageFeatures) -> Tensor:
        return model.decode(features.segment, attributes=self.attributes).spe

    def _texts(self, model: UniPerceiver, text: TextBatch) -> Tensor:
        return model.decode(model.encode_text(text), attributes=self.attributes, side="target").spe


def _contrast(logits: Tensor, own: Tensor, is_same: Tensor) -> Tensor:
    """-log P of the own partner among all but the others that are as right: logits (B, n), own (B,) -> ()."""
    return F.cross_entropy(logits.masked_fill(is_same, float("-inf")), own)


def _key(text: str) -> int:
    """63 bits that are the same on every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
