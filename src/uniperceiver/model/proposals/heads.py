"""The prediction heads, shared by the encoder's tokens and by every decoder layer (spec/mask_dino.md, section 5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from uniperceiver.config import ProposalConfig
from uniperceiver.model.layers.mlp import MLP
from uniperceiver.model.proposals.outputs import Stage

_PRIOR = 0.01


class PredictionHeads(nn.Module):
    """Objectness, box and mask of a query, without autocast: bfloat16 tells too few boxes and scores apart."""

    def __init__(self, config: ProposalConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.objectness = nn.Linear(config.width, config.classes)
        self.box = MLP(config.width, config.width, config.width, 4)
        self.mask = MLP(config.width, config.width, config.width, config.mask_width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start where every query is an object with probability 0.01 (A8) and no box is moved."""
        nn.init.constant_(self.objectness.bias, -math.log((1 - _PRIOR) / _PRIOR))
        for parameter in self.box.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def stage(self, content: Tensor, boxes: Tensor) -> Stage:
        """The predictions of queries (B, Q, C), which are normed here, with boxes (B, Q, 4) found elsewhere."""
        with torch.autocast(content.device.type, enabled=False):
            normed = self.norm(content)
            return Stage(self.objectness(normed), boxes, self.mask(normed))

    def moves(self, content: Tensor) -> Tensor:
        """How far boxes are moved, before the sigmoid: (B, Q, 4) for queries (B, Q, C)."""
        with torch.autocast(content.device.type, enabled=False):
            return self.box(content)
