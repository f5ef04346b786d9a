"""What the region proposal network says, as typed tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """The prediction of one stage: encoder tokens, initial queries, or a decoder layer."""

    logits: Tensor
    """(B, Q, K) objectness logits; K = 1 except when a Mask DINO release is expressed."""
    boxes: Tensor
    """(B, Q, 4), (cx, cy, w, h) in [0, 1] relative to the unpadded image."""
    mask_embeddings: Tensor
    """(B, Q, Cm): a mask's logits are its product with the mask features (Eq. 8). Kept apart, since the losses and the
    matching need masks at a few points only, and sampling is linear."""

    def rows(self, start: int, stop: int | None) -> Stage:
        """The same stage for the queries ``start:stop``."""
        return Stage(self.logits[:, start:stop], self.boxes[:, start:stop], self.mask_embeddings[:, start:stop])


@dataclass(frozen=True)
class ProposalOutput:
    """Everything the proposal network computes for a batch of images."""

    semantics: Tensor
    """(B, Q, C), q_sem: the last layer's queries after the decoder's norm (A4)."""
    stages: tuple[Stage, ...]
    """Decoder stages in order: the initial queries, then every layer; the last is the final prediction."""
    encoder_stage: Stage
    """The prediction made from the selected encoder tokens ("interm" in Mask DINO)."""
    denoising_stages: tuple[Stage, ...]
    """The same stages as ``stages`` for the denoising queries; empty without them."""
    mask_features: Tensor
    """(B, Cm, H/4, W/4), the per-pixel map of Eq. (8)."""

    @property
    def final(self) -> Stage:
        """The last layer's prediction."""
        return self.stages[-1]


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (B, Q, n) at an int64 index (B, O) into the Q: (B, O, n)."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))


def mask_logits(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    """Masks of Eq. (8) at stride 4: (B, Q, Cm) and (B, Cm, h, w) -> (B, Q, h, w) logits."""
    return torch.einsum("bqc,bchw->bqhw", mask_embeddings, mask_features)
