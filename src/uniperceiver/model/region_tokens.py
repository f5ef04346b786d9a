"""What a region says: semantics, box and mask in one vector, and which regions are worth keeping (Sec. 4.1, App. A)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.model.layers.position_encoding import box_position_code
from uniperceiver.model.proposals.outputs import mask_logits

MASK_SIDE = 28
"""Masks are pooled to 28×28 (Eq. 2)."""

_CHUNK = 2**24
"""Mask values in memory at once when masks are pooled: 64 MiB of float32."""


class RegionTokens(nn.Module):
    """Region tokens of an image, Eq. (2) and (9): q_sem + B(q_box) + M(q_mask), and their objectness.

    B is the sine encoding of the box and a Linear (A13); M the mask's probabilities pooled to 28×28 and a Linear (A12).
    Everything is fused at the proposal network's width C, then projected to D (A14).

    Paper: "we predict objectness for each proposal" leaves the head open. It is a LayerNorm and a Linear on the fused
    vector, so that box and mask count too (A15), added to what the proposal network itself says and zero at first:
    alone it would have to learn anew what tells an object from its duplicates.
    """

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.box_projection = nn.Linear(2 * width, width)  # four coordinates, C/2 numbers each
        self.mask_projection = nn.Linear(MASK_SIDE**2, width)
        self.objectness_norm = nn.LayerNorm(width)
        self.objectness_head = nn.Linear(width, 1)
        self.projection = nn.Linear(width, out_width)
        nn.init.zeros_(self.objectness_head.weight)
        nn.init.zeros_(self.objectness_head.bias)

    def forward(
        self,
        semantics: Tensor,
        boxes: Tensor,
        mask_embeddings: Tensor,
        mask_features: Tensor,
        valid_sizes: Sequence[tuple[int, int]] | None = None,
    ) -> Tensor:
        """The fused representation (B, Q, C), Eq. (9); no gradient reaches boxes and masks.

        Args:
            semantics: (B, Q, C), q_sem.
            boxes: (B, Q, 4), (cx, cy, w, h) in [0, 1].
            mask_embeddings: (B, Q, Cm).
            mask_features: (B, Cm, h, w); their product with the embeddings gives the mask logits (Eq. 8).
            valid_sizes: per image, rows and columns of the mask features that are picture; None: all.
        """
        encoded = box_position_code(boxes.detach(), self.box_projection.out_features // 2).to(semantics.dtype)
        masks = pooled_masks(mask_embeddings, mask_features, valid_sizes).to(semantics.dtype)
        return semantics + self.box_projection(encoded) + self.mask_projection(masks)

    def objectness(self, fused: Tensor, proposed: Tensor) -> Tensor:
        """Objectness logits (B, Q) of fused representations (B, Q, C) with the network's own logits (B, Q).

        Without autocast: near the start's -4.6 bfloat16 knows 32 steps per unit, so rounding would choose the top O.
        """
        with torch.autocast(fused.device.type, enabled=False):
            normed = self.objectness_norm(fused.to(self.objectness_head.weight.dtype))
            return proposed + self.objectness_head(normed).squeeze(-1)


@torch.no_grad()
def pooled_masks(
    mask_embeddings: Tensor, mask_features: Tensor, valid_sizes: Sequence[tuple[int, int]] | None = None
) -> Tensor:
    """Mask probabilities at stride 4, averaged over a 28×28 grid on the unpadded picture: (B, Q, 784) in [0, 1], A12.

    Shapes as in `RegionTokens.forward`. Full masks are made for a few queries at a time: 900 masks of a 1600² picture
    would take 0.6 GB.
    """
    height, width = mask_features.shape[-2:]
    if torch.compiler.is_exporting():  # a graph serves batches of any size, whose masks cannot be counted now
        return _pool(mask_embeddings, mask_features)
    if valid_sizes is None:
        step = max(1, _CHUNK // (mask_features.shape[0] * height * width))
        parts = [_pool(part, mask_features) for part in mask_embeddings.split(step, dim=1)]
        return torch.cat(parts, dim=1)
    images = [
        pooled_masks(mask_embeddings[index : index + 1], mask_features[index : index + 1, :, :rows, :columns])
        for index, (rows, columns) in enumerate(valid_sizes)
    ]
    return torch.cat(images)


def _pool(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    probabilities = mask_logits(mask_embeddings, mask_features).sigmoid_()
    return F.adaptive_avg_pool2d(probabilities, MASK_SIDE).flatten(2)


def best_proposals(objectness: Tensor, kept: int, must_keep: Tensor | None = None) -> Tensor:
    """Indices (B, O) of the top-O proposals, best first; O is at most Q (A16).

    Args:
        objectness: (B, Q) logits.
        kept: O.
        must_keep: (B, Q) bool, proposals that come before all others: those matched with an object in training (A17).
            If there are more than O of them, the best O are taken.
    """
    scores = objectness.detach().float()
    if must_keep is not None:
        scores = scores + must_keep * (scores.amax(dim=1, keepdim=True) - scores.amin(dim=1, keepdim=True) + 1)
    return scores.topk(min(kept, scores.shape[1]), dim=1).indices
