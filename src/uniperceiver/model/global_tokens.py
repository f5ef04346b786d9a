"""What the whole picture says: attention pools next to the flattened last map, Eq. (3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uniperceiver.model.layers.attention_pool import AttentionPools
from uniperceiver.model.layers.position_encoding import map_position_code


class GlobalTokens(nn.Module):
    """Global tokens of an image, Eq. (3): {AttnPool_i(F_L)} for i = 1 … M', then Flatten(F_L).

    F_L is the backbone's own last map (A25), or the last few (``image.global_maps``), and the pools may look at more of
    them (``image.pooled_maps``). The flattened map and the pools each have a projection to D.

    Paper: silent on positions. Sine encodings are added to the flattened tokens and to the keys of the pools: g itself
    adds none to image tokens, and without them it could not tell left from right.
    """

    def __init__(self, channels: int, width: int, pools: int, pooled_channels: int | None = None) -> None:
        """``channels`` c are flattened: the last of the ``pooled_channels`` C that pools see; None: all of them."""
        super().__init__()
        pooled_channels = pooled_channels or channels
        if pooled_channels % 4 or width % 4:
            raise ValueError(
                f"sine positions need widths divisible by 4, got {pooled_channels} (backbone) and {width} (decoder)"
            )
        self.pools = AttentionPools(pooled_channels, width, pools) if pools else None
        self.projection = nn.Linear(channels, width)

    def forward(self, features: Tensor, is_padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Last map (B, C, h, w) -> tokens (B, M, D) and their padding (B, M) bool, M = M' + h·w; Eq. (3).

        ``is_padding`` is (B, h, w) at the map's own size, or None; the cell at the top left must not be padding.
        """
        batch, channels, height, width = features.shape
        if is_padding is None:
            is_padding = torch.zeros(batch, height, width, dtype=torch.bool, device=features.device)
        is_hidden = is_padding.flatten(1)
        cells = features.flatten(2).transpose(1, 2)  # (B, hw, C)
        flat = self.projection(cells[..., channels - self.projection.in_features :])
        flattened = flat + _positions(is_padding, self.projection.out_features, cells)
        if self.pools is None:
            return flattened, is_hidden
        pooled = self.pools(cells, _positions(is_padding, channels, cells), is_hidden)
        never = torch.zeros(batch, pooled.shape[1], dtype=torch.bool, device=features.device)
        return torch.cat([pooled, flattened], dim=1), torch.cat([never, is_hidden], dim=1)


def _positions(is_padding: Tensor, width: int, like: Tensor) -> Tensor:
    """Sine encodings (B, hw, width) of the cells, measured in the unpadded picture."""
    return map_position_code(is_padding, width).flatten(1, 2).to(like.dtype)
