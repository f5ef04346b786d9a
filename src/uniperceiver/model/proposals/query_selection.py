"""Which encoder tokens become object queries (App. A; spec/mask_dino.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uniperceiver.config import ProposalConfig
from uniperceiver.model.proposals.heads import PredictionHeads
from uniperceiver.model.proposals.outputs import Stage, take
from uniperceiver.model.proposals.pyramid import Pyramid

_COARSEST_SIZE = 0.05
_MARGIN = 0.01
LEARNED_STD = 0.02
"""Of learned queries at the start: small beside the features that they are added to, which have variance one."""


@dataclass(frozen=True)
class SelectedTokens:
    """The Q best tokens of every image, best first."""

    features: Tensor
    """(B, Q, C), with gradient."""
    boxes_unsigmoid: Tensor
    """(B, Q, 4), with gradient; +inf where the token is no valid proposal."""
    stage: Stage
    """What the heads predict for them: trained like a decoder layer."""
    index: Tensor
    """(B, Q) int64 into the S tokens."""


class QuerySelection(nn.Module):
    """Scores every token, takes the best, and makes decoder queries of them."""

    def __init__(self, config: ProposalConfig) -> None:
        super().__init__()
        self.queries = config.queries
        self.project = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        learned = torch.empty(config.queries, config.width)
        self.learned = nn.Parameter(learned.normal_(std=LEARNED_STD)) if config.learned_queries else None

    def forward(self, memory: Pyramid, heads: PredictionHeads) -> SelectedTokens:
        """The best tokens by objectness (its maximum over classes).

        There are fewer than ``config.queries`` of them when the image has fewer tokens (A16).
        """
        grid, is_valid = grid_boxes_unsigmoid(memory)
        with torch.autocast(grid.device.type, enabled=False):
            features = self.norm(self.project(memory.tokens.masked_fill(~is_valid[..., None], 0)))
            scores = heads.objectness(features).amax(dim=-1)
        index = scores.topk(min(self.queries, scores.shape[1]), dim=1).indices
        chosen = take(features, index)
        boxes_unsigmoid = heads.moves(chosen) + take(grid, index)
        return SelectedTokens(chosen, boxes_unsigmoid, heads.stage(chosen, boxes_unsigmoid.sigmoid()), index)

    def content(self, selected: SelectedTokens) -> Tensor:
        """The decoder's first queries (B, Q, C).

        Paper: "the selected features are added to N randomly initialized object queries" (App. A): the learned query of
        a token's rank is added (A5); without learned queries it is Mask DINO's. Features are detached as there (A6).
        """
        features = selected.features.detach()
        return features if self.learned is None else features + self.learned[: features.shape[1]]


def grid_boxes_unsigmoid(memory: Pyramid) -> tuple[Tensor, Tensor]:
    """One box per token of a memory, coarsest map first: before the sigmoid (B, S, 4), and whether it is valid (B, S).

    Its centre is the token's cell and its size 0.05 · 2^l on map l, so the finest map has the largest boxes: a quirk
    that the released weights were trained with. Boxes with a number outside (0.01, 0.99) and padding are invalid: +inf.
    """
    centres = memory.cell_centres()
    sizes = [_COARSEST_SIZE * 2**level for level, (h, w) in enumerate(memory.shapes) for _ in range(h * w)]
    size = centres.new_tensor(sizes)[None, :, None].expand(centres.shape[0], -1, 2)
    boxes = torch.cat([centres, size], dim=-1)
    is_valid = ((boxes > _MARGIN) & (boxes < 1 - _MARGIN)).all(dim=-1)
    if memory.is_padding is not None:
        is_valid = is_valid & ~memory.is_padding
    unsigmoid = torch.log(boxes / (1 - boxes)).masked_fill(~is_valid[..., None], float("inf"))
    return unsigmoid, is_valid
