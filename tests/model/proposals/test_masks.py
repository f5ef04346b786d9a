"""Eq. (8), boxes from masks, and masks in the caller's picture, against recorded Mask DINO values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from uniperceiver.boxes import cxcywh_to_xyxy
from uniperceiver.config import ProposalConfig
from uniperceiver.model.proposals.masks import (
    MaskFeatures,
    boxes_of_masks_unsigmoid,
    mask_scores,
    masks_in_picture,
    within_boxes,
)
from uniperceiver.model.proposals.outputs import mask_logits

GOLDEN = Path(__file__).parents[2] / "golden"
CANVAS = (128, 160)


@pytest.mark.parametrize("variant", ["nomask", "mask"])
def test_mask_features_equal_the_recorded_ones(recorded_network, pixel_decoder, features, variant: str) -> None:
    network = recorded_network(5)
    finest = pixel_decoder[f"out/{variant}/encoder_layer1"][:, : 16 * 20].transpose(1, 2).unflatten(2, (16, 20))
    found = network.mask_features(features[0], finest)
    torch.testing.assert_close(found, pixel_decoder[f"out/{variant}/mask_features"], rtol=1e-4, atol=1e-4)


def test_equation_8_is_the_product_with_r_of_g_plus_h(tiny_config: ProposalConfig) -> None:
    torch.manual_seed(0)
    module = MaskFeatures(tiny_config, channels=4)
    stride_4, encoded = torch.randn(1, 4, 6, 8), torch.randn(1, 32, 3, 4)
    g = F.group_norm(F.conv2d(stride_4, module.lateral[0].weight), 32)
    h = F.interpolate(F.group_norm(F.conv2d(encoded, module.encoded[0].weight), 32), size=(6, 8), mode="bilinear")
    r = F.group_norm(F.conv2d(g + h, module.smooth[0].weight, padding=1), 32).relu()
    per_pixel = F.conv2d(r, module.out.weight, module.out.bias)
    torch.testing.assert_close(module(stride_4, encoded), per_pixel)
    embeddings = torch.randn(1, 5, 16)
    masks = mask_logits(embeddings, per_pixel)
    torch.testing.assert_close(masks[0, 2, 1, 3], embeddings[0, 2] @ per_pixel[0, :, 1, 3])


def test_h_learns_and_the_identity_has_nothing_to_learn(tiny_config: ProposalConfig) -> None:
    module = MaskFeatures(tiny_config, channels=4)
    encoded = torch.randn(1, 32, 3, 4, requires_grad=True)
    module(torch.randn(1, 4, 6, 8), encoded).square().sum().backward()
    assert isinstance(module.encoded, nn.Sequential)
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.encoded.parameters())
    assert encoded.grad.abs().sum() > 0
    identity = MaskFeatures(ProposalConfig(**{**vars(tiny_config), "mask_fusion": "identity"}), channels=4)
    assert not list(identity.encoded.parameters())


def test_boxes_of_masks_ignore_padding_and_are_relative_to_the_image() -> None:
    logits = torch.full((1, 2, 8, 8), -1.0)
    logits[0, 0, 1:3, 2:4] = 1
    logits[0, :, 6:, :] = 1  # padding
    is_padding = torch.zeros(1, 32, 32, dtype=torch.bool)
    is_padding[:, 16:] = True
    boxes = boxes_of_masks_unsigmoid(logits, is_padding, "bitmask").sigmoid()
    torch.testing.assert_close(boxes[0, 0], torch.tensor([3 / 8, 2 / 4, 2 / 8, 2 / 4]))
    assert boxes[0, 1].max() < 1e-4  # nothing but padding: an empty mask
    inclusive = boxes_of_masks_unsigmoid(logits, is_padding, "mask2box").sigmoid()
    torch.testing.assert_close(inclusive[0, 0], torch.tensor([2.5 / 8, 1.5 / 4, 1 / 8, 1 / 4]))


@pytest.mark.parametrize("image", [0, 1])
def test_detections_equal_the_recorded_ones(image: int) -> None:
    values = load_file(GOLDEN / "maskdino_postprocess.safetensors")
    resized = tuple(values["in/image_sizes_hw"][image].tolist())
    original = tuple(values["in/output_sizes_hw"][image].tolist())
    scores, pairs = values["in/pred_logits"][image].sigmoid().flatten().topk(15)
    query, label = pairs // 5, pairs % 5
    logits = masks_in_picture(values["in/pred_masks"][image][query], CANVAS, resized, original)
    order = scores.sort(descending=True).indices
    recorded = {
        name: values[f"out/default/{image}/{name}"] for name in ("scores", "classes", "boxes_xyxy", "masks_packed")
    }
    masks = torch.from_numpy(np.unpackbits(recorded["masks_packed"].numpy(), axis=-1, count=original[1])).bool()
    # the recorded detections are in top-k order too, but ties of top-k may fall either way: compare by class score
    plain = values[f"out/focus_box/{image}/scores"].sort(descending=True)
    torch.testing.assert_close(scores[order], plain.values, rtol=1e-4, atol=1e-4)
    assert torch.equal(label[order], recorded["classes"][plain.indices])
    found = (scores * mask_scores(logits))[order]
    torch.testing.assert_close(found, recorded["scores"][plain.indices], rtol=1e-4, atol=1e-4)
    assert ((logits > 0)[order] != masks[plain.indices]).float().mean() < 1e-5
    # recorded boxes are relative to the padded canvas
    size = torch.tensor([original[1] * CANVAS[1] / resized[1], original[0] * CANVAS[0] / resized[0]]).repeat(2)
    boxes = cxcywh_to_xyxy(values["in/pred_boxes"][image][query]) * size
    torch.testing.assert_close(boxes[order], recorded["boxes_xyxy"][plain.indices], rtol=1e-4, atol=1e-3)


def test_an_empty_mask_scores_zero() -> None:
    logits = torch.stack([torch.full((3, 3), -2.0), torch.full((3, 3), 2.0)])
    torch.testing.assert_close(mask_scores(logits), torch.tensor([0, torch.tensor(2.0).sigmoid()]))


def test_masks_end_at_their_boxes_and_a_margin() -> None:
    """Of 8 × 10 pixels: columns 2 to 5 and rows 3 to 4, then a quarter of four columns and of two rows more."""
    box = torch.tensor([[0.4, 0.5, 0.4, 0.25]])
    logits = torch.ones(2, 8, 10)
    logits[:, 3, 2] = -2.0
    exact = within_boxes(logits, box.expand(2, -1), 0.0)
    assert exact[0, 3:5, 2:6].tolist() == logits[0, 3:5, 2:6].tolist()
    assert torch.isinf(exact).sum(dim=(1, 2)).tolist() == [72, 72]
    grown = within_boxes(logits, box.expand(2, -1), 0.25)
    assert (grown > float("-inf"))[0].nonzero().aminmax(dim=0).max.tolist() == [5, 6]
    assert (grown > float("-inf"))[0].sum() == 4 * 6
    assert mask_scores(exact).tolist() == pytest.approx([torch.tensor(1.0).sigmoid().item()] * 2, abs=1e-4)
    whole = torch.tensor([[0.5, 0.5, 1.0, 1.0]])
    torch.testing.assert_close(within_boxes(logits, whole.expand(2, -1), 0.0), logits)
    assert within_boxes(logits[:0], whole[:0], 0.1).shape == (0, 8, 10)
