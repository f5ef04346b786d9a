"""The region proposal network: Mask DINO's shape with objectness only (App. A, Tab. 7)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uniperceiver.config import ProposalConfig
from uniperceiver.model.proposals.decoder import Decoder
from uniperceiver.model.proposals.denoising import DenoisingQueries
from uniperceiver.model.proposals.encoder import Encoder
from uniperceiver.model.proposals.heads import PredictionHeads
from uniperceiver.model.proposals.masks import MaskFeatures, boxes_of_masks_unsigmoid
from uniperceiver.model.proposals.outputs import ProposalOutput, mask_logits
from uniperceiver.model.proposals.pyramid import Pyramid
from uniperceiver.model.proposals.query_selection import QuerySelection, SelectedTokens


class ProposalNetwork(nn.Module):
    """Backbone maps to candidate objects {q_sem, q_box, q_mask} (Sec. 4.1, App. A).

    With ``classes: K``, ``learned_queries: false`` and ``mask_fusion: identity`` it is Mask DINO, whose released
    weights `uniperceiver.convert.mask_dino` brings into it.
    """

    def __init__(self, config: ProposalConfig, channels: Sequence[int]) -> None:
        """``channels``: of the backbone's maps of stride 4, 8, 16 and 32."""
        super().__init__()
        if len(channels) != 4:
            raise ValueError(f"the proposal network takes maps of stride 4, 8, 16 and 32, got channels {channels}")
        self.box_initialisation = config.box_initialisation
        self.encoder = Encoder(config, channels)
        self.mask_features = MaskFeatures(config, channels[0])
        self.heads = PredictionHeads(config)
        self.selection = QuerySelection(config)
        self.denoising_labels = nn.Embedding(config.denoising.categories, config.width)
        self.decoder = Decoder(config, levels=len(self.encoder.level_codes))

    def forward(
        self,
        features: Sequence[Tensor],
        is_padding: Tensor | None = None,
        denoising: DenoisingQueries | None = None,
    ) -> ProposalOutput:
        """Propose objects.

        Under autocast, boxes, scores, mask embeddings, sampling points and the residual streams keep the parameters'
        precision; only the matrix products of the layers and the convolutions are reduced.

        Args:
            features: (B, channels, h, w) maps of stride 4, 8, 16, 32.
            is_padding: (B, H, W) bool at image size, at the bottom and right; None when nothing is padded (A23).
            denoising: queries that precede the matching ones, in training only.
        """
        encoded = self.encoder(features, is_padding)
        mask_features = self.mask_features(features[0], encoded.maps()[0])
        return self.decode(encoded.reversed(), mask_features, is_padding, denoising)

    def decode(
        self,
        memory: Pyramid,
        mask_features: Tensor,
        is_padding: Tensor | None = None,
        denoising: DenoisingQueries | None = None,
    ) -> ProposalOutput:
        """Proposals from the encoder's tokens, coarsest map first, and the map of Eq. (8)."""
        selected = self.selection(memory, self.heads)
        content = self.selection.content(selected)
        boxes_unsigmoid = self._first_boxes(selected, mask_features, is_padding)
        slots, is_blocked = 0, None
        if denoising is not None:
            slots = denoising.slots
            is_blocked = denoising.is_blocked[: slots + content.shape[1], : slots + content.shape[1]]
            noised = self.denoising_labels(denoising.labels) * denoising.is_filled[..., None]
            content = torch.cat([noised, content], dim=1)
            boxes_unsigmoid = torch.cat([denoising.boxes_unsigmoid.to(boxes_unsigmoid), boxes_unsigmoid], dim=1)
        decoded = self.decoder(content, boxes_unsigmoid, memory, self.heads, is_blocked)
        return ProposalOutput(
            semantics=decoded.semantics[:, slots:],
            stages=tuple(stage.rows(slots, None) for stage in decoded.stages),
            encoder_stage=selected.stage,
            denoising_stages=tuple(stage.rows(0, slots) for stage in decoded.stages) if slots else (),
            mask_features=mask_features,
        )

    @torch.no_grad()
    def _first_boxes(self, selected: SelectedTokens, mask_features: Tensor, is_padding: Tensor | None) -> Tensor:
        """The boxes (B, Q, 4) before the sigmoid that the decoder starts from, detached (A6)."""
        if self.box_initialisation == "predicted":
            return selected.boxes_unsigmoid.detach()
        logits = mask_logits(selected.stage.mask_embeddings, mask_features)
        return boxes_of_masks_unsigmoid(logits, is_padding, self.box_initialisation)
