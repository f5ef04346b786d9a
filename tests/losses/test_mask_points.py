"""Points, sampling at them, and the mask losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.config import ProposalLossConfig
from uniperceiver.losses.mask_points import (
    dice_loss,
    mask_cross_entropy,
    pairwise_dice_loss,
    pairwise_mask_cross_entropy,
    sample_maps,
    sample_masks,
    uncertain_points,
    uniform_points,
)


def test_pairwise_costs_of_mask_dino(primitives: dict[str, Tensor]) -> None:
    logits, targets = primitives["in/point_logits"], primitives["in/point_targets"]
    torch.testing.assert_close(pairwise_mask_cross_entropy(logits, targets), primitives["out/pair_ce"])
    torch.testing.assert_close(pairwise_dice_loss(logits, targets), primitives["out/pair_dice"])


def test_losses_of_mask_dino(primitives: dict[str, Tensor]) -> None:
    """Recorded for the first three logits, divided by three objects."""
    logits, targets = primitives["in/point_logits"][:3], primitives["in/point_targets"]
    torch.testing.assert_close(mask_cross_entropy(logits, targets).sum() / 3, primitives["out/ce_nb3"])
    torch.testing.assert_close(dice_loss(logits, targets).sum() / 3, primitives["out/dice_nb3"])


def test_pairwise_costs_are_the_losses_of_all_pairs() -> None:
    torch.manual_seed(0)
    logits, targets = 20 * torch.randn(2, 4, 30), torch.rand(2, 3, 30)
    pairs = logits[:, :, None].expand(-1, -1, 3, -1), targets[:, None].expand(-1, 4, -1, -1)
    torch.testing.assert_close(pairwise_mask_cross_entropy(logits, targets), mask_cross_entropy(*pairs))
    torch.testing.assert_close(pairwise_dice_loss(logits, targets), dice_loss(*pairs))


def test_uncertain_points_of_mask_dino(recorded_training) -> None:
    values = recorded_training.values
    for name in ("final", "aux0", "interm"):
        queries = [values[f"out/match/{name}/img{image}/src"] for image in range(2)]
        masks = torch.cat([values[f"out/{name}/pred_masks"][image, q] for image, q in enumerate(queries)])
        draws = iter([values[f"rng/mask/{name}/oversample"], values[f"rng/mask/{name}/random"]])
        points = uncertain_points(masks, lambda sets, count: next(draws), recorded_training.config)  # noqa: B023
        torch.testing.assert_close(points, values[f"rng/mask/{name}/points"], rtol=0, atol=0)


def test_uncertain_points_are_the_least_certain() -> None:
    """With importance 1 and a mask whose logits grow from left to right, the kept points are the leftmost."""
    masks = torch.linspace(1, 9, 8).expand(1, 8, 8)
    config = ProposalLossConfig(points=10, importance=1.0, oversample=4)
    generator = torch.Generator().manual_seed(0)
    points = uncertain_points(masks, uniform_points(torch.device("cpu"), generator), config)
    drawn = torch.rand(1, 40, 2, generator=torch.Generator().manual_seed(0))
    inside = sample_maps(masks[:, None], drawn)[0, 0]
    kept = sample_maps(masks[:, None], points)[0, 0]
    torch.testing.assert_close(kept.sort().values, inside.sort().values[:10])


def test_sampling_masks_is_sampling_their_numbers() -> None:
    torch.manual_seed(0)
    masks = torch.rand(3, 9, 14) > 0.5
    index = torch.tensor([2, 0, 1, 2])
    points = torch.rand(4, 200, 2) * 1.2 - 0.1  # some beyond the border
    points[0, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    reference = F.grid_sample(masks[index, None].float(), 2 * points[:, None] - 1, align_corners=False)[:, 0, 0]
    torch.testing.assert_close(sample_masks(masks, index, points), reference)


def test_a_pixel_centre_gives_the_pixel() -> None:
    masks = torch.rand(1, 5, 7) > 0.5
    y, x = torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij")
    centres = torch.stack([(x + 0.5) / 7, (y + 0.5) / 5], dim=-1).reshape(1, 35, 2)
    torch.testing.assert_close(sample_masks(masks, torch.tensor([0]), centres).reshape(5, 7), masks[0].float())


def test_sampling_commutes_with_the_product_of_equation_8() -> None:
    torch.manual_seed(0)
    features, embeddings, points = torch.randn(2, 6, 8, 9), torch.randn(2, 5, 6), torch.rand(2, 30, 2)
    masks = torch.einsum("bqc,bchw->bqhw", embeddings, features)
    torch.testing.assert_close(embeddings @ sample_maps(features, points), sample_maps(masks, points))


def test_points_follow_the_generator() -> None:
    device = torch.device("cpu")
    first, second = (uniform_points(device, torch.Generator().manual_seed(3))(2, 5) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (2, 5, 2)
    assert (first >= 0).all()
    assert (first < 1).all()


@pytest.mark.parametrize("value", [True, False])
def test_empty_and_full_masks_have_finite_losses(value: bool) -> None:
    masks = torch.full((1, 4, 4), value)
    targets = sample_masks(masks, torch.tensor([0]), torch.full((1, 6, 2), 0.5))
    logits = torch.full((1, 6), 90.0)
    assert mask_cross_entropy(logits, targets).item() == pytest.approx(0 if value else 90)
    assert dice_loss(logits, targets).item() == pytest.approx(0 if value else 1 - 1 / 7, abs=1e-6)
