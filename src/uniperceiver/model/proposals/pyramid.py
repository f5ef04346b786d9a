"""A feature pyramid as one sequence of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Pyramid:
    """The tokens of several maps of one image, map after map, each row by row.

    The encoder's order is finest map first, the decoder's memory coarsest first (spec/mask_dino.md, section 0, trap 1).
    """

    tokens: Tensor
    """(B, S, C)."""
    shapes: tuple[tuple[int, int], ...]
    """(h, w) of every map; the products add up to S."""
    is_padding: Tensor | None
    """(B, S) bool; None where nothing is padded."""
    valid_ratios: Tensor
    """(B, levels, 2), the shares (of width, of height) of every map that are not padding; ones without padding."""

    @classmethod
    def from_maps(cls, maps: Sequence[Tensor], is_padding: Tensor | None = None) -> Pyramid:
        """Maps (B, C, h, w) as tokens.

        Args:
            maps: in the order wanted.
            is_padding: (B, H, W) bool at image size, at the bottom and right; a cell is padding when the pixel at its
                top-left corner is.
        """
        tokens = torch.cat([one.flatten(2).transpose(1, 2) for one in maps], dim=1)
        shapes = tuple((one.shape[2], one.shape[3]) for one in maps)
        if is_padding is None:
            return cls(tokens, shapes, None, tokens.new_ones(tokens.shape[0], len(maps), 2))
        levels = [resize_padding(is_padding, shape) for shape in shapes]
        ratios = torch.stack([valid_ratio(level) for level in levels], dim=1).to(tokens.dtype)
        return cls(tokens, shapes, torch.cat([level.flatten(1) for level in levels], dim=1), ratios)

    def maps(self) -> list[Tensor]:
        """The tokens as maps (B, C, h, w) again."""
        parts = self.tokens.split([h * w for h, w in self.shapes], dim=1)
        return [
            part.transpose(1, 2).unflatten(2, shape).contiguous()
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def with_tokens(self, tokens: Tensor) -> Pyramid:
        """The same geometry with other tokens (B, S, C)."""
        return replace(self, tokens=tokens)

    def reversed(self) -> Pyramid:
        """The same maps in the opposite order."""
        sizes = [h * w for h, w in self.shapes]
        tokens = torch.cat(self.tokens.split(sizes, dim=1)[::-1], dim=1)
        is_padding = None
        if self.is_padding is not None:
            is_padding = torch.cat(self.is_padding.split(sizes, dim=1)[::-1], dim=1)
        return Pyramid(tokens, self.shapes[::-1], is_padding, self.valid_ratios.flip(1))

    def cell_centres(self) -> Tensor:
        """Centres of all cells, (B, S, 2) as (x, y) relative to the unpadded image; above 1 in the padding."""
        parts = []
        for level, (h, w) in enumerate(self.shapes):
            y = torch.arange(h, device=self.tokens.device, dtype=self.tokens.dtype) + 0.5
            x = torch.arange(w, device=self.tokens.device, dtype=self.tokens.dtype) + 0.5
            grid = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1).flatten(0, 1)
            valid_size = self.valid_ratios[:, level] * grid.new_tensor([w, h])
            parts.append(grid / valid_size[:, None])
        return torch.cat(parts, dim=1)


def resize_padding(is_padding: Tensor, shape: tuple[int, int]) -> Tensor:
    """A padding mask (B, H, W) at the size of a map, (B, h, w), by the nearest pixel."""
    return F.interpolate(is_padding[:, None].float(), size=shape)[:, 0].bool()


def valid_ratio(is_padding: Tensor) -> Tensor:
    """Shares (of the width, of the height) of padding masks (B, h, w) that are not padding, (B, 2)."""
    valid = (~is_padding).float()
    return torch.stack([valid[:, 0].mean(dim=1), valid[:, :, 0].mean(dim=1)], dim=-1)
