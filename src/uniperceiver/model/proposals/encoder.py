"""The deformable Transformer encoder over the backbone's maps (App. A; spec/mask_dino.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uniperceiver.config import ProposalConfig
from uniperceiver.model.layers.deformable_attention import DeformableAttention
from uniperceiver.model.layers.group_norm import GroupNorm
from uniperceiver.model.layers.mlp import MLP
from uniperceiver.model.layers.position_encoding import map_position_code
from uniperceiver.model.proposals.pyramid import Pyramid


class EncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, each followed by its norm."""

    def __init__(self, config: ProposalConfig, levels: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(config.width, config.heads, levels, config.points)
        self.attention_norm = nn.LayerNorm(config.width)
        self.feedforward = MLP(config.width, config.feedforward, config.width)
        for matrix in self.feedforward.matrices():
            nn.init.xavier_uniform_(matrix)
        self.feedforward_norm = nn.LayerNorm(config.width)

    def forward(self, pyramid: Pyramid, positions: Tensor, references: Tensor) -> Pyramid:
        """One layer.

        Args:
            pyramid: tokens (B, S, C).
            positions: (B or 1, S, C), added to the queries only.
            references: (B, S, levels, 2), where each token looks on each map, padding included.
        """
        x = pyramid.tokens
        attended = self.attention(x + positions, references, x, pyramid.shapes, pyramid.is_padding)
        x = self.attention_norm(x + attended)
        return pyramid.with_tokens(self.feedforward_norm(x + self.feedforward(x)))


class Encoder(nn.Module):
    """Projects the backbone's maps to one width, adds a coarser one, and lets their tokens exchange information.

    Paper: names only convolutions before the encoder; each is followed by a group norm as in Mask DINO (A1).
    """

    def __init__(self, config: ProposalConfig, channels: Sequence[int]) -> None:
        """``channels``: of the maps of stride 4, 8, 16 and 32."""
        super().__init__()
        self.skipped = 0 if config.finest_stride == 4 else 1
        used = channels[self.skipped :]
        self.projections = nn.ModuleList(_projection(width, config.width) for width in used)
        self.extra_projection = _projection(used[-1], config.width, kernel=3, stride=2)
        self.level_codes = nn.Parameter(torch.empty(len(used) + 1, config.width).normal_())
        self.layers = nn.ModuleList(EncoderLayer(config, len(used) + 1) for _ in range(config.encoder_layers))

    def project(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The backbone's maps of stride 4, 8, 16, 32 as maps of width C, finest first; the last has half the size."""
        used = features[self.skipped :]
        maps = [projection(one) for projection, one in zip(self.projections, used, strict=True)]
        return [one.to(self.level_codes.dtype) for one in (*maps, self.extra_projection(used[-1]))]

    def encode(self, maps: Sequence[Tensor], is_padding: Tensor | None = None) -> Pyramid:
        """Encoded tokens of maps (B, C, h, w), finest first; ``is_padding`` (B, H, W) at image size."""
        pyramid = Pyramid.from_maps(maps, is_padding)
        positions = self.positions(pyramid)
        references = pyramid.cell_centres()[:, :, None] * pyramid.valid_ratios[:, None]
        for layer in self.layers:
            pyramid = layer(pyramid, positions, references)
        return pyramid

    def positions(self, pyramid: Pyramid) -> Tensor:
        """Sine code of the place in its map plus the code of the level, (1, S, C).

        Places count over the whole map, padding included: the released weights were trained so.
        """
        parts = []
        for code, shape in zip(self.level_codes, pyramid.shapes, strict=True):
            nothing = torch.zeros(1, *shape, dtype=torch.bool, device=code.device)
            parts.append(map_position_code(nothing, len(code)).to(code.dtype).flatten(1, 2) + code)
        return torch.cat(parts, dim=1)

    def forward(self, features: Sequence[Tensor], is_padding: Tensor | None = None) -> Pyramid:
        """Encoded tokens, finest map first, of the backbone's maps of stride 4, 8, 16 and 32."""
        return self.encode(self.project(features), is_padding)


def _projection(channels: int, width: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """A convolution to width C and a group norm."""
    convolution = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2)
    nn.init.xavier_uniform_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, GroupNorm(width))
