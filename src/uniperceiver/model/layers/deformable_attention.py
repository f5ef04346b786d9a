"""Multi-scale deformable attention (spec/mask_dino.md, section 2), by the C kernel where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.linear import part_length
from uniperceiver.model.layers.deformable_attention_kernel import (
    INT32_MAX,
    can_sample,
    sample_levels_with_kernel,
)

PART = 4608
"""Queries that inference on a processor computes together: a quarter of a picture of 800 × 1066 pixels."""


def sample_levels(value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of bilinear samples: all of deformable attention that is not a matrix product.

    Processors take the kernel if it was built, everything else the plain PyTorch path.

    Args:
        value: (B, S, heads, d), the maps of all levels, row by row, concatenated in the order of ``shapes``.
        shapes: (h, w) of every level; the products add up to S.
        locations: (B, Q, heads, levels, points, 2), (x, y) in [0, 1] of the map; outside of it samples are zero.
        weights: (B, Q, heads, levels, points).

    Returns:
        (B, Q, heads * d), of the type of ``value``.
    """
    if torch.compiler.is_exporting():  # neither the kernel nor bags have an operator outside PyTorch
        return sample_levels_with_grids(value, shapes, locations, weights)
    if not can_sample(value):
        return sample_levels_with_pytorch(value, shapes, locations, weights)
    flat = [size for shape in shapes for size in shape]
    return sample_levels_with_kernel(value.float(), flat, locations.float(), weights.float()).to(value.dtype)


def sample_levels_with_pytorch(
    value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """``sample_levels`` in plain PyTorch, for GPUs and where the kernel was not built.

    Bags are faster on processors, but their gradients are not (docs/performance.md).
    """
    is_training = torch.is_grad_enabled() and any(x.requires_grad for x in (value, locations, weights))
    if value.device.type == "cpu" and not is_training and value.numel() <= INT32_MAX:
        return sample_levels_with_bags(value, shapes, locations, weights)
    return sample_levels_with_grids(value, shapes, locations, weights)


def sample_levels_with_bags(
    value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """``sample_levels`` by ``embedding_bag``: every query's bag holds the four corners of all its samples."""
    batch, tokens, heads, width = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    bags_shape = (batch * queries * heads, len(shapes) * points)
    # One row for a bag and one column for a sample: long rows are what elementwise operations are fast on.
    sizes = torch.tensor(shapes, device=value.device, dtype=torch.int32).repeat_interleave(points, dim=0)
    starts = torch.tensor([0, *(h * w for h, w in shapes[:-1])], device=value.device, dtype=torch.int32)
    starts = starts.cumsum(dim=0, dtype=torch.int32).repeat_interleave(points)
    x, y = locations.reshape(*bags_shape, 2).unbind(dim=-1)
    columns, across = _corners(x, sizes[:, 1])
    rows, down = _corners(y, sizes[:, 0])
    picture = torch.arange(batch, device=value.device, dtype=torch.int32)[:, None, None] * (tokens * heads)
    head = torch.arange(heads, device=value.device, dtype=torch.int32)
    first = (picture + head).expand(-1, queries, -1).reshape(-1, 1)
    bags, shares = [], []
    for row, share in zip(rows, down, strict=True):
        beginning = (row * sizes[:, 1] + starts) * heads + first
        weighted = share * weights.reshape(bags_shape)
        bags += [beginning + column * heads for column in columns]
        shares += [weighted * share for share in across]
    table, bag = value.reshape(-1, width), torch.cat(bags, dim=1)
    out = F.embedding_bag(bag, table, mode="sum", per_sample_weights=torch.cat(shares, dim=1).to(value.dtype))
    return out.view(batch, queries, heads * width)


def _corners(location: Tensor, size: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The cells on both sides of a location in [0, 1] of an axis, and their shares: zero where there is no cell."""
    position = location * size - 0.5
    low = position.floor()
    corners = [low, low + 1]
    shares = [corners[1] - position, position - low]
    last = size - 1
    inside = [corner.clamp(min=0).minimum(last) for corner in corners]
    return (
        [corner.int().clamp(min=0) for corner in inside],  # what is no number becomes the first cell, its share stays
        [share * (corner == kept) for share, corner, kept in zip(shares, corners, inside, strict=True)],
    )


def sample_levels_with_grids(
    value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """``sample_levels`` by ``grid_sample``."""
    batch, _, heads, width = value.shape
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B*heads, Q, levels, points, 2)
    mixture = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B*heads, 1, Q, levels, points)
    out = value.new_zeros(())
    for level, (part, (h, w)) in enumerate(zip(value.split([h * w for h, w in shapes], dim=1), shapes, strict=True)):
        image = part.permute(0, 2, 3, 1).reshape(batch * heads, width, h, w)
        # grid_sample and its gradient are slower over strided memory.
        grid = grids[:, :, level].contiguous()
        samples = F.grid_sample(image, grid, mode="bilinear", align_corners=False)  # (B*heads, d, Q, points)
        out = out + (samples * mixture[..., level, :]).sum(dim=3)
    return out.reshape(batch, heads * width, locations.shape[1]).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Every query looks at a few learnt points around its reference, on every level of a pyramid."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"deformable attention: width {width} is not divisible by heads {heads}")
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with equal weights at points on one ray per head: the ray's direction times 1, 2, ... pixels."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        rays = torch.stack([angles.cos(), angles.sin()], dim=-1)
        rays = rays / rays.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        bias = rays[:, None, None] * steps[:, None]  # (heads, 1, points, 2)
        with torch.no_grad():
            self.offsets.bias.copy_(bias.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for linear in (self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Tensor,
        references: Tensor,
        source: Tensor,
        shapes: Sequence[tuple[int, int]],
        is_padding: Tensor | None = None,
    ) -> Tensor:
        """Attend from (B, Q, C) to (B, S, C).

        Args:
            query: (B, Q, C), positions added.
            references: (B, Q, levels, 2) points or (B, Q, levels, 4) boxes (cx, cy, w, h), relative to each level's
                map, padding included. Offsets count cells around a point, half-sizes / points around a box.
            source: (B, S, C), the tokens of all levels.
            shapes: (h, w) of every level.
            is_padding: (B, S) bool; padded tokens have the value zero.
        """
        value = self.value(source).to(references.dtype)
        if is_padding is not None:
            value = value.masked_fill(is_padding[..., None], 0)
        length = part_length(query, query.shape[1], PART)
        if length == query.shape[1]:
            return self._attend(query, references, value, shapes)
        parts = zip(query.split(length, dim=1), references.split(length, dim=1), strict=True)
        return torch.cat([self._attend(some, places, value, shapes) for some, places in parts], dim=1)

    def _attend(self, query: Tensor, references: Tensor, value: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """What queries see in projected values (B, S, C)."""
        batch, queries, _ = query.shape
        precision = references.dtype  # under autocast only the four products are reduced, sampling is not
        offsets = self.offsets(query).to(precision).view(batch, queries, self.heads, self.levels, self.points, 2)
        weights = self.weights(query).to(precision).view(batch, queries, self.heads, self.levels * self.points)
        locations = self._locations(references, offsets, shapes)
        weights = weights.softmax(dim=-1).view(batch, queries, self.heads, self.levels, self.points)
        sampled = sample_levels(value.unflatten(2, (self.heads, -1)), shapes, locations, weights)
        return self.out(sampled)

    def _locations(self, references: Tensor, offsets: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Where to sample, (B, Q, heads, levels, points, 2)."""
        references = references[:, :, None, :, None]
        if references.shape[-1] == 2:
            sizes = torch.tensor([(w, h) for h, w in shapes], device=offsets.device, dtype=offsets.dtype)
            return references + offsets / sizes[:, None]
        return references[..., :2] + offsets / self.points * references[..., 2:] * 0.5
