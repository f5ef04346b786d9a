"""Masks compared at points only: drawing the points, sampling at them, and the two mask losses.

Points are (x, y) in [0, 1] of the padded canvas. Sampling is bilinear between pixel centres, zero beyond the border.
Source: App. B ("the point loss used in Mask2Former"); spec/mask_dino.md, section 7.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.config import ProposalLossConfig

DrawPoints = Callable[[int, int], Tensor]
"""(n, p) -> n sets of p points, (n, p, 2) float in [0, 1]."""


def uniform_points(device: torch.device, generator: torch.Generator | None = None) -> DrawPoints:
    """Uniformly distributed points on ``device``, from the generator (on any device) or PyTorch's default."""
    source = device if generator is None else generator.device

    def draw(sets: int, points: int) -> Tensor:
        return torch.rand(sets, points, 2, generator=generator, device=source).to(device)

    return draw


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps (n, c, h, w) at points (n, p, 2): (n, c, p). Linear in the maps."""
    return F.grid_sample(maps, (2 * points - 1).unsqueeze(2), align_corners=False).squeeze(3)


def sample_masks(masks: Tensor, index: Tensor, points: Tensor) -> Tensor:
    """Values of bool masks (N, H, W) at points (n, p, 2), float in [0, 1]: (n, p).

    ``index`` (n,) says to which mask a set of points belongs; masks become numbers only where they are sampled.
    """
    height, width = masks.shape[-2:]
    x, y = (points * points.new_tensor([width, height]) - 0.5).unbind(-1)
    left, top = x.floor(), y.floor()
    pixels = masks.flatten()
    start = index[:, None] * (height * width)
    values = torch.zeros_like(x)
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
        is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = start + row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        values += weight * (pixels[at] & is_inside)
    return values


def uncertain_points(mask_logits: Tensor, draw: DrawPoints, config: ProposalLossConfig) -> Tensor:
    """Points for the loss of masks (n, h, w): (n, points, 2), without gradient.

    A share ``importance`` are those of ``oversample * points`` random ones where the prediction is least certain, the
    rest are fresh random ones.
    """
    with torch.no_grad():
        masks = mask_logits.shape[0]
        candidates = draw(masks, int(config.oversample * config.points))
        uncertain = int(config.importance * config.points)
        certainty = sample_maps(mask_logits[:, None], candidates)[:, 0].abs()
        chosen = certainty.topk(uncertain, dim=1, largest=False).indices
        random = draw(masks, config.points - uncertain)
        return torch.cat([candidates.gather(1, chosen[..., None].expand(-1, -1, 2)), random], dim=1)


def mask_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over points: (n, p) and (n, p) -> (n,)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=-1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - (2 Σ s t + 1) / (Σ s + Σ t + 1) over points, s the sigmoid of the logits: (n, p) and (n, p) -> (n,)."""
    s = logits.sigmoid()
    return 1 - (2 * (s * targets).sum(dim=-1) + 1) / (s.sum(dim=-1) + targets.sum(dim=-1) + 1)


def pairwise_mask_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`mask_cross_entropy` of every logits (..., q, p) with every targets (..., n, p): (..., q, n).

    softplus(-x) t + softplus(x) (1 - t) is softplus(x) - x t, so that one product serves all pairs.
    """
    return (F.softplus(logits).sum(dim=-1)[..., None] - logits @ targets.mT) / logits.shape[-1]


def pairwise_dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """`dice_loss` of every logits (..., q, p) with every targets (..., n, p): (..., q, n)."""
    s = logits.sigmoid()
    total = s.sum(dim=-1)[..., None] + targets.sum(dim=-1)[..., None, :]
    return 1 - (2 * (s @ targets.mT) + 1) / (total + 1)
