"""What a user would pick for each task alone: common networks on the encoders that `nano` starts from.

Each is an ``nn.Module`` with ``loss(batch)`` and ``predict(batch)``; batches and predictions are those of the project's
tasks, so inputs and metrics are the same. The detector is in `specialist_detector`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.backbone import Backbone
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.predictions import Answer, Caption, Classification, Embeddings, FilledMask
from uniperceiver.tasks.candidates import CandidateSet

WIDTH = 256
"""Of joint embeddings, of the captioner and of hidden layers: the width of nano's decoder."""


@dataclass(frozen=True)
class Ingredients:
    """What a specialist is made of: the same pre-trained encoders, the same targets."""

    backbone: Backbone
    text: TextEncoder
    """Frozen, as in nano, but for masked words."""
    tokenizer: Tokenizer
    candidates: CandidateSet
    """Class names, words or answers."""
    max_tokens: int


class PooledBackbone(nn.Module):
    """Mean of the backbone's last map, without padding."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = backbone.channels[-1]

    def forward(self, images: ImageBatch) -> Tensor:
        """(B, c)."""
        last = self.backbone(images.pixels)[-1]
        is_picture = F.adaptive_max_pool2d((~images.is_padding).float()[:, None], last.shape[-2:])
        return (last * is_picture).sum(dim=(2, 3)) / is_picture.sum(dim=(2, 3))


class LinearProbe(nn.Module):
    """A linear classifier on frozen pooled features."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__()
        self.features = PooledBackbone(parts.backbone).requires_grad_(False)
        self.names = parts.candidates.texts
        self.head = nn.Sequential(nn.BatchNorm1d(self.features.width), nn.Linear(self.features.width, len(self.names)))

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(self.head(self.features(batch.images)), batch.labels)

    def predict(self, batch: Any) -> list[Classification]:
        """Five classes."""
        best = self.head(self.features(batch.images)).double().softmax(dim=1).topk(min(5, len(self.names)), dim=1)
        return [
            Classification(index.numpy(), tuple(self.names[i] for i in index), probability.numpy())
            for index, probability in zip(best.indices.cpu(), best.values.cpu(), strict=True)
        ]


class FineTuned(LinearProbe):
    """The same with the backbone trained too."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__(parts)
        self.features.requires_grad_(True)


class DualEncoder(nn.Module):
    """CLIP's shape: pooled backbone and mean of MiniLM's tokens, a projection each, InfoNCE both ways."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__()
        self.features = PooledBackbone(parts.backbone)
        self.text = MeanOfTokens(parts.text)
        self.image_projection = nn.Linear(self.features.width, WIDTH)
        self.text_projection = nn.Linear(self.text.width, WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def loss(self, batch: Any) -> Tensor:
        """Pairs of the batch against each other; equal pictures and equal captions are no negatives, as in ours."""
        images, texts = self._images(batch.queries), self._texts(batch.text.rows(batch.drawn))
        is_same = batch.query_keys[:, None] == batch.query_keys
        is_same |= batch.text_keys[:, None] == batch.text_keys
        is_same.fill_diagonal_(False)
        logits = (self.log_scale.exp().clamp(max=100) * images @ texts.T).masked_fill(is_same, float("-inf"))
        own = torch.arange(len(images), device=images.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

    def predict(self, batch: Any) -> list[Embeddings]:
        """Of pictures and all their captions."""
        images, texts = self._images(batch.queries).cpu().numpy(), self._texts(batch.text).cpu().split(batch.counts)
        return [Embeddings(image, own.numpy()) for image, own in zip(images, texts, strict=True)]

    def _images(self, images: ImageBatch) -> Tensor:
        return F.normalize(self.image_projection(self.features(images)).float(), dim=1)

    def _texts(self, text: TextBatch) -> Tensor:
        return F.normalize(self.text_projection(self.text(text)).float(), dim=1)


class MeanOfTokens(nn.Module):
    """A sentence embedding as MiniLM's are meant to be made: the mean over its tokens."""

    def __init__(self, text: TextEncoder) -> None:
        super().__init__()
        self.encoder = text
        self.width = text.config.width

    def forward(self, text: TextBatch) -> Tensor:
        """(B, Ct)."""
        is_token = (~text.is_padding)[..., None]
        return (self.encoder.hidden(text) * is_token).sum(dim=1) / is_token.sum(dim=1)


class AnswerClassifier(nn.Module):
    """Pooled picture ‖ question embedding → two layers → answers."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__()
        self.features = PooledBackbone(parts.backbone)
        self.text = MeanOfTokens(parts.text)
        self.answers = parts.candidates.texts
        self.head = nn.Sequential(
            nn.LayerNorm(self.features.width + self.text.width),
            nn.Linear(self.features.width + self.text.width, 2 * WIDTH),
            nn.GELU(),
            nn.Linear(2 * WIDTH, len(self.answers)),
        )

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy with each of the people's answers, by its share."""
        logits = self._logits(batch)[batch.questions]
        losses = F.cross_entropy(logits, batch.answers, reduction="none")
        return (losses * batch.weights).sum() / batch.weights.sum().clamp(min=1)

    def predict(self, batch: Any) -> list[Answer]:
        """Ten answers."""
        own = self._logits(batch)[: batch.images.size].double()
        best = own.softmax(dim=1).topk(min(10, len(self.answers)), dim=1)
        return [
            Answer(tuple(self.answers[i] for i in index), probability.numpy())
            for index, probability in zip(best.indices.tolist(), best.values.cpu(), strict=True)
        ]

    def _logits(self, batch: Any) -> Tensor:
        images = self.features(batch.images)[batch.pictures]
        return self.head(torch.cat([images, self.text(batch.text)], dim=1))


class WordFiller(nn.Module):
    """MiniLM, trained on, with a linear layer over the vocabulary."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__()
        self.encoder = parts.text.requires_grad_(True)
        self.words = parts.candidates.texts
        self.head = nn.Linear(parts.text.config.width, len(self.words))

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy over the hidden words."""
        is_target = batch.targets >= 0
        return F.cross_entropy(self.head(self.encoder.hidden(batch.text)[is_target]), batch.targets[is_target])

    def predict(self, batch: Any) -> list[list[FilledMask]]:
        """Ten words for every hidden one."""
        probabilities = self.head(self.encoder.hidden(batch.text)[batch.is_read]).double().softmax(dim=1)
        best = probabilities.topk(min(10, len(self.words)), dim=1)
        filled = [
            FilledMask(tuple(self.words[i] for i in index), probability.numpy())
            for index, probability in zip(best.indices.tolist(), best.values.cpu(), strict=True)
        ]
        ends = np.cumsum(batch.is_read.sum(dim=1).tolist())
        return [filled[end - len(words) : end] for end, words in zip(ends, batch.references, strict=True)]


class Captioner(nn.Module):
    """A Transformer decoder that looks at the backbone's last map; words one after the other, the likeliest each."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__()
        self.backbone, self.tokenizer, self.longest = parts.backbone, parts.tokenizer, parts.max_tokens
        self.ids = torch.tensor(parts.candidates.token_ids)
        self.end = parts.candidates.token_ids.index(parts.tokenizer.end_id)
        self.start = len(self.ids)
        self.image_projection = nn.Linear(parts.backbone.channels[-1], WIDTH)
        self.words = nn.Embedding(len(self.ids) + 1, WIDTH)
        self.places = nn.Embedding(parts.max_tokens, WIDTH)
        layer = nn.TransformerDecoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.1, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, 3, nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, len(self.ids))

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy of every next word."""
        known = batch.targets.clamp(min=0)
        first = known.new_full((len(known), 1), self.start)
        logits = self._next_words(self._look(batch.images)[batch.pictures], torch.cat([first, known[:, :-1]], dim=1))
        return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-1)

    def predict(self, batch: Any) -> list[Caption]:
        """Greedy sentences."""
        seen = self._look(batch.images)
        words = torch.full((batch.images.size, 1), self.start, device=seen.device)
        score = torch.zeros(batch.images.size, device=seen.device)
        is_over = torch.zeros(batch.images.size, dtype=torch.bool, device=seen.device)
        for _ in range(self.longest - 1):
            best = self._next_words(seen, words)[:, -1].log_softmax(dim=1).max(dim=1)
            score += best.values.masked_fill(is_over, 0)
            words = torch.cat([words, best.indices.masked_fill(is_over, self.end)[:, None]], dim=1)
            is_over |= best.indices == self.end
            if is_over.all():
                break
        return [Caption(self._text(row), float(value)) for row, value in zip(words[:, 1:], score, strict=True)]

    def _look(self, images: ImageBatch) -> Tensor:
        return self.image_projection(self.backbone(images.pixels)[-1].flatten(2).transpose(1, 2))

    def _next_words(self, seen: Tensor, words: Tensor) -> Tensor:
        length = words.shape[1]
        x = self.words(words) + self.places(torch.arange(length, device=words.device))
        is_blocked = torch.ones(length, length, dtype=torch.bool, device=words.device).triu(1)
        return self.head(self.decoder(x, seen, tgt_mask=is_blocked))

    def _text(self, row: Tensor) -> str:
        kept = [index for index in row.tolist() if index != self.end]
        return self.tokenizer.decode(self.ids[kept].tolist())
