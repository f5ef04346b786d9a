"""Boxes: conversions, overlap, boxes of masks. The only place that converts between the two box formats.

Inside the model a box is (cx, cy, w, h) in [0, 1]; outside it is (x0, y0, x1, y1) in pixels.
Source of the formulas: spec/mask_dino.md, section 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-6
_LOGIT_EPSILON = 1e-5
_FAR = 1e8


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Centre and size (..., 4) to corners (..., 4), in the same units."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Corners (..., 4) to centre and size (..., 4), in the same units."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def inverse_sigmoid(x: Tensor) -> Tensor:
    """Logit of x clamped to [0, 1], finite everywhere: log(max(x, 1e-5) / max(1 - x, 1e-5))."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=_LOGIT_EPSILON) / (1 - x).clamp(min=_LOGIT_EPSILON))


def area(boxes: Tensor) -> Tensor:
    """Areas (...) of corner boxes (..., 4); negative when exactly one side is inverted."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU in (-1, 1] of corner boxes (..., 4), pair by pair (shapes broadcast).

    IoU minus the share of the enclosing box that neither covers, with 1e-6 added to both denominators.
    """
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = sides.clamp(min=0).prod(dim=-1)
    union = area(a) + area(b) - intersection
    hull_sides = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull = hull_sides.clamp(min=0).prod(dim=-1)
    return intersection / (union + _EPSILON) - (hull - union) / (hull + _EPSILON)


def _occupied(masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """First and last occupied column and row of masks (..., H, W), and whether a mask is empty; each (...)."""
    height, width = masks.shape[-2:]
    columns, rows = masks.any(dim=-2), masks.any(dim=-1)
    x = torch.arange(width, device=masks.device)
    y = torch.arange(height, device=masks.device)
    first_x = torch.where(columns, x, width).amin(dim=-1)
    first_y = torch.where(rows, y, height).amin(dim=-1)
    last_x = torch.where(columns, x, -1).amax(dim=-1)
    last_y = torch.where(rows, y, -1).amax(dim=-1)
    return first_x, first_y, last_x, last_y, ~columns.any(dim=-1)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """Boxes (..., 4) float (x0, y0, x1, y1) in pixels around bool masks (..., H, W); zeros for an empty mask.

    The far sides are exclusive: a one-pixel mask at (x, y) gives (x, y, x+1, y+1). Mask DINO's ``bitmask``.
    """
    first_x, first_y, last_x, last_y, is_empty = _occupied(masks)
    boxes = torch.stack([first_x, first_y, last_x + 1, last_y + 1], dim=-1).float()
    return boxes.masked_fill(is_empty[..., None], 0)


def masks_to_extents(masks: Tensor) -> Tensor:
    """First and last occupied pixels (..., 4) float (x0, y0, x1, y1) of bool masks (..., H, W).

    Mask DINO's ``mask2box``: the far sides are inclusive; an empty mask gives (1e8, 1e8, 0, 0), as the released
    weights were trained with.
    """
    first_x, first_y, last_x, last_y, is_empty = _occupied(masks)
    extents = torch.stack([first_x, first_y, last_x, last_y], dim=-1).float()
    nothing = torch.tensor([_FAR, _FAR, 0, 0], device=masks.device)
    return torch.where(is_empty[..., None], nothing, extents)
