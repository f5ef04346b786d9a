"""What flows into the model: typed batches of images, texts and object annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

SIZE_DIVISOR = 32
"""Pictures are padded to multiples of this many pixels, the stride of the backbone's last map."""


def padded_length(pixels: int) -> int:
    """A height or width rounded up to a multiple of `SIZE_DIVISOR`."""
    return -(-pixels // SIZE_DIVISOR) * SIZE_DIVISOR


@dataclass(frozen=True)
class ImageBatch:
    """Normalised pictures, padded at the bottom and at the right to one size."""

    views: ClassVar[int] = 1
    """A picture is looked at once."""
    pixels: Tensor
    """(B, 3, H, W) float, normalised by the backbone's mean and std; zero where padded."""
    is_padding: Tensor
    """(B, H, W) bool, True where there is no picture."""

    @classmethod
    def from_images(cls, images: Sequence[Tensor], mean: Sequence[float], std: Sequence[float]) -> Self:
        """Pad uint8 pictures (3, h, w) to the largest height and width, rounded up as `padded_length` does.

        Padding happens after normalisation (spec/mask_dino.md, section 3), so padded pixels are exactly zero.

        Raises:
            ValueError: no picture, or one that is not uint8 of three channels.
        """
        if not images:
            raise ValueError("an image batch needs at least one image, got none")
        for image in images:
            if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
                raise ValueError(f"expected uint8 images of shape (3, h, w), got {image.dtype} {tuple(image.shape)}")
        height = padded_length(max(image.shape[1] for image in images))
        width = padded_length(max(image.shape[2] for image in images))
        shift = torch.tensor(mean, device=images[0].device)[:, None, None] * 255
        scale = torch.tensor(std, device=images[0].device)[:, None, None] * 255
        pixels = torch.zeros(len(images), 3, height, width, device=images[0].device)
        is_padding = torch.ones(len(images), height, width, dtype=torch.bool, device=images[0].device)
        for index, image in enumerate(images):
            _, h, w = image.shape
            pixels[index, :, :h, :w] = (image.float() - shift) / scale
            is_padding[index, :h, :w] = False
        return cls(pixels, is_padding)

    @property
    def size(self) -> int:
        """Number of images."""
        return self.pixels.shape[0]

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(self, pixels=self.pixels.to(device), is_padding=self.is_padding.to(device))


@dataclass(frozen=True)
class VideoBatch:
    """Normalised clips, all of one size and length."""

    pixels: Tensor
    """(B, T, 3, H, W) float."""
    views: int = 1
    """So many clips that follow each other are views of one video."""

    @classmethod
    def from_videos(cls, videos: Sequence[Tensor], mean: Sequence[float], std: Sequence[float], views: int = 1) -> Self:
        """Stack uint8 clips (T, 3, H, W) of the same shape, ``views`` of each video.

        Raises:
            ValueError: no clip, clips of different shapes, or one that is not uint8 frames of three channels.
        """
        if not videos:
            raise ValueError("a video batch needs at least one clip, got none")
        for video in videos:
            if video.ndim != 4 or video.shape[1] != 3 or video.dtype != torch.uint8:
                raise ValueError(f"expected uint8 clips of shape (T, 3, H, W), got {video.dtype} {tuple(video.shape)}")
        shapes = sorted({tuple(video.shape) for video in videos})
        if len(shapes) > 1:
            raise ValueError(f"clips of one batch need one shape (T, 3, H, W), got {shapes}")
        shift = torch.tensor(mean, device=videos[0].device)[:, None, None] * 255
        scale = torch.tensor(std, device=videos[0].device)[:, None, None] * 255
        return cls((torch.stack(list(videos)).float() - shift) / scale, views)

    @property
    def size(self) -> int:
        """Number of clips."""
        return self.pixels.shape[0]

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(self, pixels=self.pixels.to(device))


@dataclass(frozen=True)
class TextBatch:
    """Token ids of texts. A *slot* is a token that stands where a word is to be predicted."""

    ids: Tensor
    """(B, L) int64 token ids; the tokenizer's mask token at slots, its padding token where padded."""
    is_padding: Tensor
    """(B, L) bool."""
    positions: Tensor
    """(B, L) int64, the place of each token in its text, from 0. A slot has the position of the word it predicts."""
    is_slot: Tensor
    """(B, L) bool."""
    causal: bool = False
    """False: every token sees every token. True: the pattern of `causal_is_blocked`."""

    @classmethod
    def from_ids(cls, ids: Sequence[Sequence[int]], padding_id: int, slot_id: int | None = None) -> Self:
        """Bidirectional texts, padded at the end; tokens equal to ``slot_id`` are slots."""
        length = max((len(row) for row in ids), default=0)
        padded = torch.full((len(ids), length), padding_id, dtype=torch.int64)
        is_padding = torch.ones(len(ids), length, dtype=torch.bool)
        for index, row in enumerate(ids):
            padded[index, : len(row)] = torch.as_tensor(row, dtype=torch.int64)
            is_padding[index, : len(row)] = False
        is_slot = torch.zeros_like(is_padding) if slot_id is None else (padded == slot_id) & ~is_padding
        return cls(padded, is_padding, torch.arange(length).expand(len(ids), -1).contiguous(), is_slot)

    @classmethod
    def with_slot_per_word(cls, ids: Sequence[Sequence[int]], padding_id: int, slot_id: int) -> Self:
        """The training layout of captions: the words, then one slot per word at that word's position; causal.

        Slot i sees the words before position i and itself, so it predicts word i. Both blocks are padded alike, which
        gives (B, 2L).
        """
        words = cls.from_ids(ids, padding_id)
        slots = words.ids.masked_fill(~words.is_padding, slot_id)
        return cls(
            ids=torch.cat([words.ids, slots], dim=1),
            is_padding=words.is_padding.repeat(1, 2),
            positions=words.positions.repeat(1, 2),
            is_slot=torch.cat([words.is_slot, ~words.is_padding], dim=1),
            causal=True,
        )

    @classmethod
    def with_word_before(cls, ids: Sequence[Sequence[int]], padding_id: int, slot_id: int) -> Self:
        """The training layout without slots: for every word the one before it, for the first the slot token; causal.

        Token i sees the words before position i, so it predicts word i. Padded like the words, it is (B, L).
        """
        before = [[slot_id, *row[:-1]] if len(row) else [] for row in ids]
        return replace(cls.from_ids(before, padding_id), causal=True)

    @property
    def size(self) -> int:
        """Number of texts."""
        return self.ids.shape[0]

    def rows(self, index: Tensor) -> Self:
        """The texts given by an index (R,)."""
        return replace(
            self,
            ids=self.ids[index],
            is_padding=self.is_padding[index],
            positions=self.positions[index],
            is_slot=self.is_slot[index],
        )

    def trimmed(self) -> Self:
        """The same texts without the columns where all are padded."""
        kept = ~self.is_padding.all(dim=0)
        return replace(
            self,
            ids=self.ids[:, kept],
            is_padding=self.is_padding[:, kept],
            positions=self.positions[:, kept],
            is_slot=self.is_slot[:, kept],
        )

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        return replace(
            self,
            ids=self.ids.to(device),
            is_padding=self.is_padding.to(device),
            positions=self.positions.to(device),
            is_slot=self.is_slot.to(device),
        )


@dataclass(frozen=True)
class ObjectTargets:
    """The annotated objects of one image, as the proposal network is supervised with them."""

    boxes: Tensor
    """(n, 4) float, (cx, cy, w, h) in [0, 1] relative to the unpadded image."""
    masks: Tensor
    """(n, H, W) bool on the *padded* canvas of the batch, so that mask points line up with the mask features."""
    labels: Tensor
    """(n,) int64, index into the candidate class names."""
    image_id: str
    """Named in errors."""
    has_mask: Tensor
    """(n,) bool. False: only the box is known; its row of ``masks`` is the box filled, and compared with nothing."""

    def to(self, device: torch.device | str) -> Self:
        """The targets on another device."""
        return replace(
            self,
            boxes=self.boxes.to(device),
            masks=self.masks.to(device),
            labels=self.labels.to(device),
            has_mask=self.has_mask.to(device),
        )
