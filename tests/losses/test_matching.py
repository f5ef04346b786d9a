"""Hungarian matching."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
import torch

from uniperceiver.config import ProposalLossConfig
from uniperceiver.losses.mask_points import dice_loss, mask_cross_entropy, sample_maps, sample_masks
from uniperceiver.losses.matching import ObjectBatch, match, matching_costs

CONFIG = ProposalLossConfig(points=50)


def test_costs_and_assignment_of_mask_dino(recorded_training) -> None:
    values, output = recorded_training.values, recorded_training.output
    objects = ObjectBatch.from_targets(recorded_training.targets, classes=5)
    stages = (output.encoder_stage, *output.stages)
    for name, stage in zip(("interm", "aux0", "aux1", "aux2", "final"), stages, strict=True):
        points = torch.cat([values[f"rng/match/{name}/img{image}"] for image in range(2)])
        costs = matching_costs(stage, output.mask_features, objects, points, recorded_training.config)
        matches = match(stage, output.mask_features, objects, points, recorded_training.config)
        for image, count in enumerate(objects.counts):
            recorded = f"out/match/{name}/img{image}"
            torch.testing.assert_close(costs[image, :, :count], values[f"{recorded}/cost"], rtol=1e-4, atol=1e-4)
            assert torch.equal(matches.query[matches.image == image], values[f"{recorded}/src"])
            assert torch.equal(matches.target[matches.image == image], values[f"{recorded}/tgt"])


def test_cost_of_one_pair_by_hand(make_targets, make_stage) -> None:
    """K = 1: Tab. 7's weights on the focal cost, L1, GIoU, cross-entropy and dice of one query with one object."""
    torch.manual_seed(0)
    target = make_targets(1)[0]
    target = replace(target, boxes=torch.tensor([[0.5, 0.5, 0.4, 0.2]]), labels=torch.tensor([3]))
    stage = replace(make_stage(1, 1), boxes=torch.tensor([[[0.5, 0.5, 0.2, 0.2]]]))
    features, points = torch.randn(1, 6, 8, 8), torch.rand(1, 50, 2)
    objects = ObjectBatch.from_targets([target], classes=1)
    cost = matching_costs(stage, features, objects, points, CONFIG).item()
    p = stage.logits.detach().sigmoid()
    focal = -0.25 * (1 - p) ** 2 * p.log() + 0.75 * p**2 * (1 - p).log()
    logits = stage.mask_embeddings.detach() @ sample_maps(features, points)
    masks = sample_masks(objects.masks, torch.tensor([0]), points)
    expected = (
        2 * focal + 5 * 0.2 - 2 * 0.5 + 5 * mask_cross_entropy(logits[0], masks) + 5 * dice_loss(logits[0], masks)
    )
    assert cost == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_assignment_is_the_cheapest_of_all(seed: int, make_targets, make_stage) -> None:
    torch.manual_seed(seed)
    targets, stage = make_targets(3, 1, 4, classes=3), make_stage(3, 5, classes=3)
    features, points = torch.randn(3, 6, 8, 8), torch.rand(3, 50, 2)
    objects = ObjectBatch.from_targets(targets, classes=3)
    costs = matching_costs(stage, features, objects, points, CONFIG)
    matches = match(stage, features, objects, points, CONFIG)
    for image, count in enumerate(objects.counts):
        own = matches.image == image
        assert sorted(matches.target[own].tolist()) == list(range(count))
        cheapest = min(
            sum(costs[image, q, t] for t, q in enumerate(queries)) for queries in permutations(range(5), count)
        )
        torch.testing.assert_close(costs[image, matches.query[own], matches.target[own]].sum(), cheapest)


def test_batched_is_single(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets, stage = make_targets(2, 0, 4), make_stage(3, 6)
    features, points = torch.randn(3, 6, 8, 8), torch.rand(3, 50, 2)
    batched = match(stage, features, ObjectBatch.from_targets(targets, 1), points, CONFIG)
    for image in range(3):
        row = slice(image, image + 1)
        alone = replace(
            stage,
            logits=stage.logits[row],
            boxes=stage.boxes[row],
            mask_embeddings=stage.mask_embeddings[row],
        )
        single = match(alone, features[row], ObjectBatch.from_targets(targets[row], 1), points[row], CONFIG)
        own = batched.image == image
        assert torch.equal(batched.query[own], single.query)
        assert torch.equal(batched.target[own], single.target)


def test_labels_do_not_matter_for_objectness(make_targets, make_stage) -> None:
    """K = 1: every object has label 0, whatever its class."""
    torch.manual_seed(0)
    targets, stage = make_targets(3, classes=1), make_stage(1, 6)
    other = [replace(targets[0], labels=torch.tensor([5, 70, 2]))]
    features, points = torch.randn(1, 6, 8, 8), torch.rand(1, 50, 2)
    costs = [matching_costs(stage, features, ObjectBatch.from_targets(t, 1), points, CONFIG) for t in (targets, other)]
    assert torch.equal(*costs)


def test_no_objects_no_pairs(make_targets, make_stage) -> None:
    objects = ObjectBatch.from_targets(make_targets(0, 0), 1)
    matches = match(make_stage(2, 4), torch.randn(2, 6, 8, 8), objects, torch.rand(2, 50, 2), CONFIG)
    assert len(matches.image) == len(matches.query) == len(matches.target) == 0
    assert objects.rows(matches).shape == (0,)


def test_more_objects_than_queries_use_every_query(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    objects = ObjectBatch.from_targets(make_targets(5), 1)
    matches = match(make_stage(1, 2), torch.randn(1, 6, 8, 8), objects, torch.rand(1, 50, 2), CONFIG)
    assert matches.query.tolist() == [0, 1]
    assert len(set(matches.target.tolist())) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_cost_that_is_not_finite_names_the_image(value: float, make_targets, make_stage) -> None:
    torch.manual_seed(0)
    stage = make_stage(2, 4)
    boxes = stage.boxes.detach().clone()
    boxes[1, 2, 0] = value
    with pytest.raises(ValueError, match=r"image-1.*predicted boxes"):
        match(
            replace(stage, boxes=boxes),
            torch.randn(2, 6, 8, 8),
            ObjectBatch.from_targets(make_targets(1, 2), 1),
            torch.rand(2, 50, 2),
            CONFIG,
        )


def test_wrong_targets_name_the_image(make_targets) -> None:
    target = make_targets(2)[0]
    with pytest.raises(ValueError, match="image-0: labels"):
        ObjectBatch.from_targets([replace(target, labels=torch.tensor([0, 5]))], classes=5)
    with pytest.raises(ValueError, match="image-0: expected boxes"):
        ObjectBatch.from_targets([replace(target, masks=target.masks[:1])], classes=1)


def test_rows_and_padding_find_the_objects(make_targets) -> None:
    targets = make_targets(2, 0, 3)
    objects = ObjectBatch.from_targets(targets, 1)
    padded = objects.padded(objects.boxes)
    assert padded.shape == (3, 3, 4)
    assert torch.equal(padded[2], targets[2].boxes)
    assert not padded[1].any()


def test_an_object_without_a_mask_is_matched_by_its_box_and_objectness(make_targets, make_stage) -> None:
    """Masks cost its column nothing, and that of the object beside it what they did."""
    torch.manual_seed(0)
    stage, features, points = make_stage(1, 6), torch.randn(1, 6, 8, 8), torch.rand(1, 50, 2)
    target = make_targets(2)[0]
    half = replace(target, has_mask=torch.tensor([False, True]))
    whole, mixed = (
        matching_costs(stage, features, ObjectBatch.from_targets([t], 1), points, CONFIG) for t in (target, half)
    )
    boxes = matching_costs(
        stage, features, ObjectBatch.from_targets([target], 1), points, replace(CONFIG, mask=0.0, dice=0.0)
    )
    torch.testing.assert_close(mixed[..., 0], boxes[..., 0])
    assert torch.equal(mixed[..., 1], whole[..., 1])
