"""Swin's shifted-window attention on feature maps of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from uniperceiver.linear import in_parts
from uniperceiver.model.layers.mlp import PART


class ShiftedWindowBlock(nn.Module):
    """A Swin block whose map is zero-padded to whole windows *before* it is shifted, spec/mask_dino.md, section 3.

    It takes over the layers of a timm block, under the same names. timm shifts first and pads afterwards, which gives
    other windows whenever a map is not a multiple of the window; detection weights of Swin were trained with the order
    here. On maps of whole windows both are the same. As there, padded tokens may be attended to.
    """

    def __init__(self, block: SwinTransformerBlock) -> None:
        super().__init__()
        self.norm1, self.attn, self.drop_path1 = block.norm1, block.attn, block.drop_path1
        self.norm2, self.mlp, self.drop_path2 = block.norm2, block.mlp, block.drop_path2
        self.window: tuple[int, int] = block.window_size
        self.shift: tuple[int, int] = block.shift_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, c) -> (B, h, w, c)."""
        x = x + self.drop_path1(self._attention(self.norm1(x)))
        return x + self.drop_path2(in_parts(self.mlp, self.norm2(x), PART))

    def _attention(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        rows, columns = self.window
        x = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        down, across = x.shape[1] // rows, x.shape[2] // columns
        is_blocked = None
        if any(self.shift):
            x = x.roll((-self.shift[0], -self.shift[1]), dims=(1, 2))
            regions = _regions(down * rows, rows, self.shift[0], x)[:, None] * 3
            regions = regions + _regions(across * columns, columns, self.shift[1], x)[None, :]
            regions = regions.reshape(down, rows, across, columns).transpose(1, 2).reshape(down * across, -1)
            is_blocked = regions[:, :, None] != regions[:, None, :]  # (windows, tokens, tokens)
        windows = x.reshape(batch, down, rows, across, columns, channels).transpose(2, 3)
        windows = windows.reshape(batch * down * across, rows * columns, channels)
        bias = None if is_blocked is None else is_blocked.to(x.dtype) * -100.0
        windows = self.attn(windows, mask=bias)
        x = windows.reshape(batch, down, across, rows, columns, channels).transpose(2, 3)
        x = x.reshape(batch, down * rows, across * columns, channels)
        if any(self.shift):
            x = x.roll(self.shift, dims=(1, 2))
        return x[:, :height, :width]


def _regions(length: int, window: int, shift: int, like: Tensor) -> Tensor:
    """Along one axis (length,): which of the three parts that a roll brings next to each other a place comes from."""
    place = torch.arange(length, device=like.device)
    return (place >= length - window).long() + (place >= length - shift).long()


def pad_before_shift(network: nn.Module) -> None:
    """Replace every timm Swin block of a network, in place, by a `ShiftedWindowBlock`."""
    for name, child in list(network.named_children()):
        if isinstance(child, SwinTransformerBlock):
            network.add_module(name, ShiftedWindowBlock(child))
        else:
            pad_before_shift(child)
