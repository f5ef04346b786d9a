"""The deformable Transformer decoder with box refinement (spec/mask_dino.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from uniperceiver.boxes import inverse_sigmoid
from uniperceiver.config import ProposalConfig
from uniperceiver.model.layers.attention import SelfAttention
from uniperceiver.model.layers.deformable_attention import DeformableAttention
from uniperceiver.model.layers.mlp import MLP
from uniperceiver.model.layers.position_encoding import box_position_code
from uniperceiver.model.proposals.heads import PredictionHeads
from uniperceiver.model.proposals.outputs import Stage
from uniperceiver.model.proposals.pyramid import Pyramid


@dataclass(frozen=True)
class DecodedQueries:
    """What the decoder makes of its queries, denoising slots first."""

    semantics: Tensor
    """(B, P + Q, C), the last layer's queries after the heads' norm."""
    stages: tuple[Stage, ...]
    """The initial queries, then every layer."""


class DecoderLayer(nn.Module):
    """Self-attention among queries, deformable attention to the memory, feed-forward; each followed by its norm."""

    def __init__(self, config: ProposalConfig, levels: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(config.width, config.heads)
        self.self_attention_norm = nn.LayerNorm(config.width)
        self.cross_attention = DeformableAttention(config.width, config.heads, levels, config.points)
        self.cross_attention_norm = nn.LayerNorm(config.width)
        self.feedforward = MLP(config.width, config.feedforward, config.width)
        self.feedforward_norm = nn.LayerNorm(config.width)

    def forward(
        self, x: Tensor, positions: Tensor, references: Tensor, memory: Pyramid, is_blocked: Tensor | None
    ) -> Tensor:
        """One layer on queries (B, Q, C).

        Args:
            x: the queries.
            positions: (B, Q, C), the codes of their boxes.
            references: (B, Q, levels, 4), their boxes on every map, padding included.
            memory: the encoder's tokens, coarsest map first; no positions are added to them.
            is_blocked: (Q, Q) bool or None.
        """
        x = self.self_attention_norm(x + self.self_attention(x + positions, x, is_blocked))
        attended = self.cross_attention(x + positions, references, memory.tokens, memory.shapes, memory.is_padding)
        x = self.cross_attention_norm(x + attended)
        return self.feedforward_norm(x + self.feedforward(x))


class Decoder(nn.Module):
    """Layers that refine queries and, after each, their boxes."""

    def __init__(self, config: ProposalConfig, levels: int) -> None:
        super().__init__()
        self.position_width = config.width // 2
        self.position = MLP(4 * self.position_width, config.width, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config, levels) for _ in range(config.decoder_layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform matrices everywhere but in deformable attention, which has its own start."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1 and ".cross_attention." not in name:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self,
        content: Tensor,
        boxes_unsigmoid: Tensor,
        memory: Pyramid,
        heads: PredictionHeads,
        is_blocked: Tensor | None = None,
    ) -> DecodedQueries:
        """Decode queries (B, Q, C) that start from boxes (B, Q, 4) before the sigmoid.

        The next layer starts from the box predicted from the un-normed queries, detached. The box reported is predicted
        from the normed ones, relative to the previous box *with* its gradient ("look forward twice").
        """
        x, previous = content, boxes_unsigmoid.sigmoid()
        stages = [heads.stage(x, previous)]
        for layer in self.layers:
            reference = previous.detach()
            on_maps = reference[:, :, None] * memory.valid_ratios.repeat(1, 1, 2)[:, None]
            positions = self.position(box_position_code(on_maps[:, :, 0], self.position_width))
            x = layer(x, positions, on_maps, memory, is_blocked)
            normed = heads.norm(x)
            boxes = (heads.moves(normed) + inverse_sigmoid(previous)).sigmoid()
            stages.append(heads.stage(normed, boxes))
            previous = (heads.moves(x) + inverse_sigmoid(reference)).sigmoid()
        return DecodedQueries(heads.norm(x), tuple(stages))
