"""f_image: a picture as global and regional tokens, Eq. (1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch
from uniperceiver.config import ImageEncoderConfig
from uniperceiver.model.backbone import build_backbone
from uniperceiver.model.global_tokens import GlobalTokens
from uniperceiver.model.proposals.denoising import DenoisingQueries
from uniperceiver.model.proposals.network import ProposalNetwork
from uniperceiver.model.proposals.outputs import ProposalOutput, take
from uniperceiver.model.proposals.pyramid import resize_padding
from uniperceiver.model.region_tokens import RegionTokens, best_proposals
from uniperceiver.model.segments import Segment


@dataclass(frozen=True)
class Perception:
    """Everything seen in a batch of images, before regions are chosen."""

    global_tokens: Tensor | None
    """(B, M, D); None when the model has no global representation."""
    global_is_padding: Tensor | None
    """(B, M) bool."""
    output: ProposalOutput | None
    """What the proposal network says; None when the model has no regional representation."""
    fused: Tensor | None
    """(B, Q, C), the fused regional representation, Eq. (9)."""
    objectness: Tensor | None
    """(B, Q) logits of the head on ``fused`` (A15)."""


@dataclass(frozen=True)
class KeptProposals:
    """The proposals that reach the unified decoder, best first."""

    index: Tensor
    """(B, O) int64 into the Q queries."""
    boxes: Tensor
    """(B, O, 4), (cx, cy, w, h) in [0, 1] relative to the unpadded image."""
    mask_embeddings: Tensor
    """(B, O, Cm)."""
    objectness: Tensor
    """(B, O) logits."""
    mask_features: Tensor
    """(B, Cm, H/4, W/4): mask logits are ``mask_logits(mask_embeddings, mask_features)``, on the padded canvas."""

    def rows(self, index: Tensor) -> Self:
        """Those of the images given by an index (R,)."""
        return replace(
            self,
            index=self.index[index],
            boxes=self.boxes[index],
            mask_embeddings=self.mask_embeddings[index],
            objectness=self.objectness[index],
            mask_features=self.mask_features[index],
        )


@dataclass(frozen=True)
class ImageFeatures:
    """f_image(x), Eq. (1)."""

    segment: Segment
    """(B, M + O, D) tokens: global ones first, regions last."""
    proposals: KeptProposals | None
    """None when the model has no regional representation."""

    @property
    def regions(self) -> slice:
        """Where the regions are among the tokens; empty without proposals."""
        length = self.segment.tokens.shape[1]
        return slice(length - (0 if self.proposals is None else self.proposals.index.shape[1]), length)

    def rows(self, index: Tensor) -> Self:
        """Those of the images given by an index (R,): copies, which do not keep the batch."""
        proposals = None if self.proposals is None else self.proposals.rows(index)
        return replace(self, segment=self.segment.rows(index), proposals=proposals)


class ImageEncoder(nn.Module):
    """f_image of Eq. (1): backbone → global tokens ‖ region tokens.

    Args:
        config: see `ImageEncoderConfig`.
        width: D.

    Raises:
        ValueError: the configuration leaves neither global nor regional tokens.
    """

    def __init__(self, config: ImageEncoderConfig, width: int) -> None:
        super().__init__()
        if not config.global_tokens and config.proposals is None:
            raise ValueError("image.global_tokens is false and image.proposals is null: an image would have no tokens")
        self.config = config
        self.backbone = build_backbone(config.backbone)
        channels = self.backbone.channels
        if config.seen_maps > len(channels):
            name = "global_maps" if config.pooled_maps is None else "pooled_maps"
            raise ValueError(f"image.{name} is {config.seen_maps}, but the backbone has {len(channels)} maps")
        flattened, pooled = sum(channels[-config.global_maps :]), sum(channels[-config.seen_maps :])
        self.global_tokens = (
            GlobalTokens(flattened, width, config.attention_pools, pooled) if config.global_tokens else None
        )
        self.kept = 0 if config.proposals is None else config.proposals.kept
        self.proposals = None if config.proposals is None else ProposalNetwork(config.proposals, channels)
        self.region_tokens = None if config.proposals is None else RegionTokens(config.proposals.width, width)

    def forward(self, images: ImageBatch) -> ImageFeatures:
        """Concat({q_global}, {q_proposal}), Eq. (1), with the top-O proposals, as tasks other than detection see it."""
        proposals = self.config.proposals
        return self.represent(
            self.propose(images, teaches=proposals is not None and proposals.taught_by == "every_task")
        )

    def propose(
        self, images: ImageBatch, denoising: DenoisingQueries | None = None, teaches: bool = True
    ) -> Perception:
        """Everything up to the choice of regions; ``denoising`` is added in detection training.

        Without ``teaches`` no gradient reaches the proposal network.
        """
        is_padding = images.is_padding if bool(images.is_padding.any()) else None
        return self.perceive(images.pixels, is_padding, denoising, teaches)

    def perceive(
        self,
        pixels: Tensor,
        is_padding: Tensor | None = None,
        denoising: DenoisingQueries | None = None,
        teaches: bool = True,
    ) -> Perception:
        """`propose` for pixels (B, 3, H, W) whose padding (B, H, W) is known to be some, or None for none at all."""
        features = self.backbone(pixels)
        tokens, token_padding = None, None
        if self.global_tokens is not None:
            last = _at_size_of_last(features[-self.config.seen_maps :])
            tokens, token_padding = self.global_tokens(last, _at_size_of(last, is_padding))
        if self.proposals is None or self.region_tokens is None:
            return Perception(tokens, token_padding, None, None, None)
        with torch.set_grad_enabled(teaches and torch.is_grad_enabled()):
            output = self.proposals(features, is_padding, denoising)
            fused = self.region_tokens(
                output.semantics,
                output.final.boxes,
                output.final.mask_embeddings,
                output.mask_features,
                _valid_sizes(_at_size_of(output.mask_features, is_padding)),
            )
            objectness = self.region_tokens.objectness(fused, output.final.logits.amax(dim=-1))
        return Perception(tokens, token_padding, output, fused, objectness)

    def represent(self, perception: Perception, must_keep: Tensor | None = None) -> ImageFeatures:
        """The token sequence of Eq. (1). ``must_keep`` (B, Q) bool forces proposals among the top-O (A17)."""
        tokens, is_padding, kept = [], [], None
        if perception.global_tokens is not None and perception.global_is_padding is not None:
            tokens.append(perception.global_tokens)
            is_padding.append(perception.global_is_padding)
        if perception.output is not None and perception.fused is not None and perception.objectness is not None:
            kept = _keep(perception.output, perception.objectness, self.kept, must_keep)
            assert self.region_tokens is not None
            tokens.append(self.region_tokens.projection(take(perception.fused, kept.index)))
            is_padding.append(torch.zeros_like(kept.index, dtype=torch.bool))
        return ImageFeatures(Segment(torch.cat(tokens, dim=1), torch.cat(is_padding, dim=1), "image"), kept)


def _keep(output: ProposalOutput, objectness: Tensor, kept: int, must_keep: Tensor | None) -> KeptProposals:
    index = best_proposals(objectness, kept, must_keep)
    return KeptProposals(
        index=index,
        boxes=take(output.final.boxes, index),
        mask_embeddings=take(output.final.mask_embeddings, index),
        objectness=objectness.gather(1, index),
        mask_features=output.mask_features,
    )


def _at_size_of_last(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, c, h, w), each half the size of the one before, averaged to the size of the last: (B, Σc, h, w)."""
    strides = [2**halvings for halvings in reversed(range(len(maps)))]
    pooled = [F.avg_pool2d(m, s, ceil_mode=True) if s > 1 else m for m, s in zip(maps, strides, strict=True)]
    return torch.cat(pooled, dim=1)


def _at_size_of(features: Tensor, is_padding: Tensor | None) -> Tensor | None:
    """Pixel padding (B, H, W) at the size of a map (B, c, h, w)."""
    return None if is_padding is None else resize_padding(is_padding, (features.shape[2], features.shape[3]))


def _valid_sizes(is_padding: Tensor | None) -> Sequence[tuple[int, int]] | None:
    """Rows and columns of every image that are picture, from padding (B, h, w)."""
    if is_padding is None:
        return None
    rows = (~is_padding[:, :, 0]).sum(dim=1).tolist()
    columns = (~is_padding[:, 0, :]).sum(dim=1).tolist()
    return list(zip(rows, columns, strict=True))
