"""The shared prediction heads."""

from __future__ import annotations

import math

import torch

from uniperceiver.config import ProposalConfig
from uniperceiver.model.proposals.heads import PredictionHeads


def test_the_start_is_a_rare_object_and_an_unmoved_box(tiny_config: ProposalConfig) -> None:
    heads = PredictionHeads(tiny_config)
    assert heads.objectness.bias.tolist() == [torch.tensor(-math.log(99)).item()]
    assert not heads.box(torch.randn(3, 32)).any()


def test_predictions_are_made_from_normed_queries(tiny_config: ProposalConfig) -> None:
    heads = PredictionHeads(tiny_config)
    content, boxes = torch.randn(2, 3, 32), torch.rand(2, 3, 4)
    stage = heads.stage(content, boxes)
    assert stage.boxes is boxes
    assert stage.mask_embeddings.shape == (2, 3, 16)
    torch.testing.assert_close(stage.logits, heads.objectness(heads.norm(content)))
    torch.testing.assert_close(heads.stage(10 * content, boxes).logits, stage.logits, rtol=1e-3, atol=1e-3)
