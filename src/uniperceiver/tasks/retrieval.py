"""Retrieval: <SPE> ‖ image, or a text, against the texts of the batch, and these against the images, or texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch, VideoBatch
from uniperceiver.data.records import CaptionedImage, CaptionedVideo, PairedText
from uniperceiver.distributed import gather, gather_with_gradient, rank
from uniperceiver.likelihood import similarity
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Embeddings
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting, seeded_generator
from uniperceiver.tasks.visual_input import encode_visual, mean_over_views, visual_batch
from uniperceiver.text_predictions import PartnerEmbeddings


@dataclass(frozen=True)
class RetrievalBatch:
    """Pictures, or videos, and their captions, or texts and their partners."""

    queries: ImageBatch | VideoBatch | TextBatch
    """B pictures, videos or texts."""
    text: TextBatch
    """(N, L), all captions of all pictures, picture by picture, or all partners of all texts."""
    drawn: Tensor
    """(B,) int64 into the N texts, the partner of each query in training."""
    query_keys: Tensor
    """(B,) int64, equal for the same picture or text."""
    text_keys: Tensor
    """(B,) int64, equal where the drawn texts say the same."""
    counts: tuple[int, ...]
    """Number of captions or partners of each of the B queries."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            queries=self.queries.to(device),
            text=self.text.to(device),
            drawn=self.drawn.to(device),
            query_keys=self.query_keys.to(device),
            text_keys=self.text_keys.to(device),
        )


class RetrievalTask:
    """Each side's Y is the other side of the batch, gathered over all processes.

    The picture is the input and the caption the target, with the routing attributes that follow; both directions
    compare the same two representations (v1: spec/uni_perceiver_v1_moe.md, section 6). A text may stand in the place of
    the picture ("text-only retrieval", Sec. 3.2 of v1).
    """

    attributes = TaskAttributes(input_image=True, input_text=False)
    attributes_of_texts = TaskAttributes(input_image=False, input_text=True)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        """``candidates`` is empty, since the targets are in the batch, or has the texts that a user compares with."""
        self.setting = setting
        self.candidates = candidates

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: object) -> CandidateSet:
        """None: the targets are in the batch."""
        return CandidateSet.from_texts((), setting.tokenizer)

    def collate(self, records: Sequence[CaptionedImage | CaptionedVideo | PairedText]) -> RetrievalBatch:
        """All captions or partners as token ids, long ones cut at the end, and one drawn per record.

        Raises:
            ValueError: pictures and texts together.
        """
        tokenizer = self.setting.tokenizer
        partners = [record.partners if isinstance(record, PairedText) else record.captions for record in records]
        ids = tokenizer.encode_batch([text for row in partners for text in row], self.setting.config.max_tokens)
        counts = tuple(map(len, partners))
        generator = seeded_generator()
        drawn = [
            first + generator.randrange(count) for first, count in zip(accumulate((0, *counts)), counts, strict=False)
        ]
        names = [record.text if isinstance(record, PairedText) else record.image_id for record in records]
        return RetrievalBatch(
            queries=self._queries(records),
            text=TextBatch.from_ids(ids, tokenizer.padding_id),
            drawn=torch.tensor(drawn),
            query_keys=torch.tensor([_key(name) for name in names]),
            text_keys=torch.tensor([_key(str(ids[row])) for row in drawn]),
            counts=counts,
        )

    def _queries(
        self, records: Sequence[CaptionedImage | CaptionedVideo | PairedText]
    ) -> ImageBatch | VideoBatch | TextBatch:
        tokenizer, backbone = self.setting.tokenizer, self.setting.backbone
        pictures = [record for record in records if not isinstance(record, PairedText)]
        texts = [record.text for record in records if isinstance(record, PairedText)]
        if pictures and texts:
            raise ValueError("a batch of pictures and texts to search with: give each kind a stream of its own")
        if pictures:
            return visual_batch(pictures, backbone)
        ids = tokenizer.encode_batch(texts, self.setting.config.max_tokens)
        return TextBatch.from_ids(ids, tokenizer.padding_id)

    def loss(self, model: UniPerceiver, batch: RetrievalBatch) -> dict[str, Tensor]:
        """Eq. (7) in both directions, each the mean over the pairs of this process.

        Negatives are all other pairs of all processes, or of this one alone (``gather_negatives``), except those that
        are the same picture or say the same: these would be right answers counted as wrong.
        Paper: silent on the direction and on equal captions. Both directions are added, as in v1.
        """
        attributes = self._attributes(batch)
        queries = model.summary(_encode(model, batch.queries), attributes=attributes)
        texts = _targets(model, batch.text.rows(batch.drawn), attributes)
        all_queries, all_texts, query_keys, text_keys = queries, texts, batch.query_keys, batch.text_keys
        own = torch.arange(len(queries), device=queries.device)
        if self.setting.config.gather_negatives:
            all_queries, all_texts = gather_with_gradient(queries), gather_with_gradient(texts)
            query_keys, text_keys = gather(query_keys), gather(text_keys)
            sizes = gather(torch.tensor([len(queries)], device=queries.device)).tolist()
            own = own + sum(sizes[: rank()])
        is_same = (batch.query_keys[:, None] == query_keys) | (batch.text_keys[:, None] == text_keys)
        is_same[torch.arange(len(own), device=own.device), own] = False
        temperature, smoothing = model.temperature("retrieve"), self.setting.config.label_smoothing
        forth, back = _DIRECTIONS[type(batch.queries)]
        return {
            forth: _contrast(similarity(queries, all_texts, temperature), own, is_same, smoothing),
            back: _contrast(similarity(texts, all_queries, temperature), own, is_same, smoothing),
        }

    @torch.no_grad()
    def predict(
        self, model: UniPerceiver, batch: RetrievalBatch, features: ImageFeatures | None = None
    ) -> list[Embeddings] | list[PartnerEmbeddings]:
        """Unit vectors of every picture and of all its captions, or of every text and of all its partners."""
        attributes = self._attributes(batch)
        segment = _encode(model, batch.queries) if features is None else features.segment
        views = 1 if isinstance(batch.queries, TextBatch) else batch.queries.views
        queries = _unit_vectors(model, segment, attributes, views)
        texts = F.normalize(_targets(model, batch.text, attributes).float(), dim=-1).cpu().split(batch.counts)
        pairs = [(query, own.numpy()) for query, own in zip(queries.cpu().numpy(), texts, strict=True)]
        if isinstance(batch.queries, TextBatch):
            return [PartnerEmbeddings(*pair) for pair in pairs]
        return [Embeddings(*pair) for pair in pairs]

    def embed_images(self, model: UniPerceiver, features: ImageFeatures, views: int = 1) -> Tensor:
        """Unit vectors (B, D) float32 of pictures that f_image has seen, or of videos in (B · ``views``) rows."""
        return _unit_vectors(model, features.segment, self.attributes, views)

    def _attributes(self, batch: RetrievalBatch) -> TaskAttributes:
        return self.attributes_of_texts if isinstance(batch.queries, TextBatch) else self.attributes


_DIRECTIONS: dict[type, tuple[str, str]] = {
    ImageBatch: ("image_to_text", "text_to_image"),
    VideoBatch: ("video_to_text", "text_to_video"),
    TextBatch: ("text_to_partner", "partner_to_text"),
}
"""What the losses of the two directions are called."""


def _encode(model: UniPerceiver, queries: ImageBatch | VideoBatch | TextBatch) -> Segment:
    return model.encode_text(queries) if isinstance(queries, TextBatch) else encode_visual(model, queries).segment


def _unit_vectors(model: UniPerceiver, segment: Segment, attributes: TaskAttributes, views: int) -> Tensor:
    """(B, D) float32 of (B · ``views``) rows: that of a video is the mean of its views', brought to unit length."""
    vectors = F.normalize(model.summary(segment, attributes=attributes).float(), dim=-1)
    return vectors if views == 1 else F.normalize(mean_over_views(vectors, views), dim=-1)


def _targets(model: UniPerceiver, text: TextBatch, attributes: TaskAttributes) -> Tensor:
    return model.summary(model.encode_text(text), attributes=attributes, side="target")


def _contrast(logits: Tensor, own: Tensor, is_same: Tensor, smoothing: float) -> Tensor:
    """-log P of the own partner among all but the others that are as right: logits (B, n), own (B,) -> ().

    The part ``smoothing`` of the target is spread over those it is compared with, itself included.
    """
    log_p = logits.masked_fill(is_same, float("-inf")).log_softmax(dim=1)
    everyone = log_p.masked_fill(is_same, 0.0).sum(dim=1) / (~is_same).sum(dim=1)
    return -((1 - smoothing) * log_p.gather(1, own[:, None]).squeeze(1) + smoothing * everyone).mean()


def _key(text: str) -> int:
    """63 bits that are the same on every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
