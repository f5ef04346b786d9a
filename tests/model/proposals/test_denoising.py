"""Denoising queries against recorded DINO and Mask DINO values, and at their edges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.config import DenoisingConfig
from uniperceiver.model.proposals.denoising import NoiseDraws, draw_noise, make_denoising_queries, noised_queries

GOLDEN = Path(__file__).parents[2] / "golden"


def targets_of(values: dict[str, Tensor]) -> list[ObjectTargets]:
    empty = torch.zeros(0, 1, 1, dtype=torch.bool)
    return [
        ObjectTargets(
            boxes=values[f"in/target/{i}/boxes"],
            masks=empty,
            labels=values[f"in/target/{i}/labels"],
            image_id=f"image-{i}",
            has_mask=torch.ones_like(values[f"in/target/{i}/labels"], dtype=torch.bool),
        )
        for i in range(2)
    ]


def objects(*counts: int, label: int = 0) -> list[ObjectTargets]:
    return [
        ObjectTargets(
            boxes=torch.rand(n, 4) * 0.2 + 0.4,
            masks=torch.ones(n, 8, 8, dtype=torch.bool),
            labels=torch.full((n,), label),
            image_id=f"image-{i}",
            has_mask=torch.ones(n, dtype=torch.bool),
        )
        for i, n in enumerate(counts)
    ]


@pytest.mark.parametrize(
    ("case", "queries", "box_noise"), [("A_dn5_label0.5_box1.0", 5, 1.0), ("B_dn100_label0.5_box0.4", 100, 0.4)]
)
def test_contrastive_queries_equal_the_recorded_ones(case: str, queries: int, box_noise: float) -> None:
    values = load_file(GOLDEN / "maskdino_cdn_queries.safetensors")
    config = DenoisingConfig("contrastive", queries, box_noise, label_noise=0.5, categories=6)
    draws = NoiseDraws(*(values[f"rng/{case}/{name}"] for name in ("label_p", "new_label", "box_sign01", "box_rand")))
    found = noised_queries(targets_of(values), draws, config, queries=20)
    content = values["param/label_enc.weight"][found.labels] * found.is_filled[..., None]
    assert torch.equal(content, values[f"out/{case}/query_label"])
    torch.testing.assert_close(found.boxes_unsigmoid, values[f"out/{case}/query_bbox_unsig"])
    assert torch.equal(found.is_blocked, values[f"out/{case}/attn_mask"])
    assert found.groups == values[f"out/{case}/num_groups"]
    made = make_denoising_queries(targets_of(values), config, queries=20)
    assert made is not None
    assert made.slots == found.slots == values[f"out/{case}/pad_size"]


def test_mask_dino_queries_equal_the_recorded_ones(training: dict[str, Tensor]) -> None:
    config = DenoisingConfig("mask_dino", queries=12, box_noise=0.4, label_noise=0.4, categories=5)
    draws = NoiseDraws(training["rng/dn/label_p"], training["rng/dn/new_label"], None, training["rng/dn/box_rand"])
    found = noised_queries(targets_of(training), draws, config, queries=20)
    content = training["param/label_enc.weight"][found.labels] * found.is_filled[..., None]
    assert torch.equal(content, training["out/dn/input_query_label"])
    torch.testing.assert_close(found.boxes_unsigmoid, training["out/dn/input_query_bbox_unsig"])
    assert torch.equal(found.is_blocked, training["out/internal/attn_mask"])
    assert found.groups == 4


def test_slots_point_at_their_objects() -> None:
    config = DenoisingConfig(queries=50, box_noise=0.0, label_noise=0.0)
    targets = objects(2, 0, 1)
    found = make_denoising_queries(targets, config, queries=3)
    assert found is not None
    assert found.groups == 25
    assert found.target_index[0, :4].tolist() == [0, 1, -1, -1]  # two positives, two negatives
    assert found.target_index[2, :4].tolist() == [0, -1, -1, -1]  # one of each, each followed by an unfilled slot
    assert found.is_filled[2, :4].tolist() == [True, False, True, False]
    assert not found.is_filled[1].any()
    torch.testing.assert_close(found.boxes_unsigmoid[0, :2].sigmoid(), targets[0].boxes)


def test_negatives_are_further_off_than_positives() -> None:
    config = DenoisingConfig(queries=100, box_noise=1.0)
    targets = objects(1)
    found = make_denoising_queries(targets, config, queries=1, generator=torch.Generator().manual_seed(0))
    assert found is not None
    error = (found.boxes_unsigmoid[0].sigmoid() - targets[0].boxes).abs().sum(dim=1)
    is_positive = found.target_index[0] >= 0
    assert error[~is_positive].mean() > 1.5 * error[is_positive].mean()


@pytest.mark.parametrize("kind", ["contrastive", "mask_dino"])
def test_nothing_to_noise(kind: str) -> None:
    config = DenoisingConfig(kind=kind, queries=100)  # type: ignore[arg-type]
    assert make_denoising_queries(objects(0, 0), config, queries=5) is None
    assert make_denoising_queries([], config, queries=5) is None


def test_many_objects_leave_one_group_or_none() -> None:
    contrastive = make_denoising_queries(objects(120), DenoisingConfig(queries=100), queries=2)
    assert contrastive is not None
    assert (contrastive.groups, contrastive.slots) == (1, 240)
    assert make_denoising_queries(objects(120), DenoisingConfig(kind="mask_dino", queries=100), queries=2) is None


def test_labels_beyond_the_categories_share_rows() -> None:
    config = DenoisingConfig(queries=50, label_noise=0.0, categories=10)
    found = make_denoising_queries(objects(1, label=1203), config, queries=1)
    assert found is not None
    assert found.labels.unique().tolist() == [3]


def test_the_same_generator_gives_the_same_queries() -> None:
    config = DenoisingConfig(queries=60)
    torch.manual_seed(1)
    targets = objects(3, 2)
    first, second, other = (
        make_denoising_queries(targets, config, 4, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8)
    )
    assert first is not None
    assert second is not None
    assert other is not None
    assert torch.equal(first.boxes_unsigmoid, second.boxes_unsigmoid)
    assert not torch.equal(first.boxes_unsigmoid, other.boxes_unsigmoid)


def test_draws_must_fit_the_objects() -> None:
    config = DenoisingConfig()
    with pytest.raises(ValueError, match="7 draws for 2 objects"):
        noised_queries(objects(2), draw_noise(7, config), config, queries=1)
