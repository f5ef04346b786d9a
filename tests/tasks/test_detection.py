"""Detection: targets on the canvas, the loss with and without objects, predictions in the original's pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uniperceiver.config import ModelConfig
from uniperceiver.data.records import AnnotatedImage
from uniperceiver.model.image_encoder import ImageFeatures, KeptProposals
from uniperceiver.model.segments import Segment
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.detection import DetectionTask

NAMES = ("red car", "green tree", "blue ball")
LOSSES = {"objectness", "box", "giou", "mask", "dice", "fused_objectness", "names"}
MakeTask = Callable[..., DetectionTask]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(**fields: object) -> DetectionTask:
        chosen = setting(kind="detection", **fields)
        return DetectionTask(chosen, DetectionTask.find_candidates(chosen, SimpleNamespace(names=NAMES)))

    return make


def empty(annotated: Callable[..., AnnotatedImage], image_id: str = "empty") -> AnnotatedImage:
    return annotated(image_id, [], [])


def test_targets_lie_on_the_canvas_without_crowds(make_task: MakeTask, annotated: Callable) -> None:
    small = annotated("small", [[10, 8, 30, 24], [0, 0, 40, 32]], [1, 0], size=(32, 40), crowds=1)
    batch = make_task().collate([small, empty(annotated)])
    first, second = batch.targets
    assert batch.images.pixels.shape == (2, 3, 64, 64)
    assert first.boxes.tolist() == [pytest.approx([20 / 40, 16 / 32, 20 / 40, 16 / 32])]
    assert first.masks.shape == (1, 64, 64)
    assert first.masks.sum() == 20 * 16
    assert first.masks[0, 8:24, 10:30].all()
    assert first.labels.tolist() == [1]
    assert second.boxes.shape == (0, 4)
    assert second.masks.shape == (0, 64, 64)
    assert batch.sizes == ((32, 40), (64, 64))
    assert batch.original_sizes == ((32, 40), (64, 64))


@pytest.mark.parametrize("sampled", [None, 1])
def test_losses_are_finite_whatever_the_objects(
    model: UniPerceiver, make_task: MakeTask, annotated: Callable, sampled: int | None
) -> None:
    """Objects in all, some or none of the pictures; one picture; more objects than queries."""
    task = make_task(sampled_candidates=sampled)
    two = annotated("two", [[4, 4, 30, 30], [34, 20, 60, 60]], [0, 2])
    many = annotated("many", [[i, i, i + 20, i + 30] for i in range(20)], [i % 3 for i in range(20)])
    model.train()
    for records in ([two], [two, empty(annotated)], [empty(annotated), empty(annotated)], [many, two]):
        model.zero_grad()
        losses = task.loss(model, task.collate(records))
        assert set(losses) == LOSSES
        assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
        torch.stack(list(losses.values())).sum().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        assert model.f_image.region_tokens.objectness_head.weight.grad.any()


def test_without_objects_only_objectness_is_left(model: UniPerceiver, make_task: MakeTask, annotated: Callable) -> None:
    losses = make_task().loss(model, make_task().collate([empty(annotated)]))
    assert {name for name, loss in losses.items() if loss.item() != 0} == {"objectness", "fused_objectness"}


def test_pictures_with_boxes_alone_train_boxes_and_names(
    model: UniPerceiver, make_task: MakeTask, annotated: Callable
) -> None:
    two = annotated("two", [[4, 4, 30, 30], [34, 20, 60, 60]], [0, 2])
    boxes_alone = replace(two, has_mask=torch.zeros(2, dtype=torch.bool))
    losses = make_task().loss(model.train(), make_task().collate([boxes_alone]))
    assert set(losses) == LOSSES - {"mask", "dice"}
    mixed = make_task().loss(model, make_task().collate([boxes_alone, two, empty(annotated)]))
    assert set(mixed) == LOSSES
    torch.stack([*losses.values(), *mixed.values()]).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_overfits_one_batch(model: UniPerceiver, make_task: MakeTask, annotated: Callable, overfit: Callable) -> None:
    task = make_task()
    batch = task.collate([annotated("a", [[4, 4, 36, 36]], [0]), annotated("b", [[30, 20, 60, 60]], [2])])
    history = overfit(model, task, batch, 25)
    first, last = history[0], history[-1]
    assert last["names"] < 0.1 < first["names"]
    assert last["box"] < first["box"]
    assert last["fused_objectness"] < first["fused_objectness"]
    assert last["sum"] < 0.7 * first["sum"]


def test_every_matched_proposal_is_named(
    tiny_model_config: ModelConfig, make_task: MakeTask, annotated: Callable
) -> None:
    """A17: with a single kept proposal the matched one is it, so the names loss sees the object."""
    proposals = replace(tiny_model_config.image.proposals, kept=1)
    config = replace(tiny_model_config, image=replace(tiny_model_config.image, proposals=proposals))
    for seed in range(3):
        torch.manual_seed(seed)
        losses = make_task().loss(UniPerceiver(config), make_task().collate([annotated("a", [[4, 4, 36, 36]], [0])]))
        assert losses["names"].item() > 0


def test_a_planted_region_comes_back_in_original_pixels(
    model: UniPerceiver, make_task: MakeTask, annotated: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The left and the upper half of a 96×160 picture, shown as 48×80 on a canvas of 64×96.

    The box of the left half goes beyond the picture on three sides.
    """
    record = replace(annotated("planted", [], [], size=(48, 80)), original_size=(96, 160))
    features = torch.full((1, 2, 16, 24), -10.0)
    features[:, 0, :, :10] = 10.0
    features[:, 1, :6] = 10.0
    features[:, :, 13:] = 10.0  # in the padding, which no mask may show
    proposals = KeptProposals(
        index=torch.tensor([[3, 1]]),
        boxes=torch.tensor([[[0.2, 0.55, 0.6, 1.2], [0.5, 0.5, 0.25, 0.5]]]),
        mask_embeddings=torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]),
        objectness=torch.tensor([[4.0, -4.0]]),
        mask_features=features,
    )
    tokens = torch.randn(1, 2, model.config.decoder.width, generator=torch.Generator().manual_seed(0))
    segment = Segment(tokens, torch.zeros(1, 2, dtype=torch.bool), "image")
    monkeypatch.setattr(model, "encode_image", lambda images: ImageFeatures(segment, proposals))
    task = make_task()
    (found,) = task.predict(model, task.collate([record]))

    assert len(found.scores) == 2 * len(NAMES)
    assert (np.diff(found.scores) <= 0).all()
    assert sorted(found.labels[:3].tolist()) == [0, 1, 2]
    np.testing.assert_allclose(found.boxes[:3], [[0, 0, 80, 96]] * 3, atol=1e-5)
    np.testing.assert_allclose(found.boxes[3:], [[60, 24, 100, 72]] * 3, atol=1e-5)
    assert found.scores[:3].sum() == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)
    left, upper = np.zeros((2, 96, 160), dtype=bool)
    left[:, :80] = True
    upper[:48] = True
    assert found.masks is not None
    assert found.masks.shape == (6, 96, 160)
    assert (found.masks[:3] == left).all()
    assert (found.masks[3:] == upper).all()
    assert found.mask_scores is not None
    assert ((found.mask_scores > 0.95) & (found.mask_scores <= 1)).all()
    assert found.names == tuple(NAMES[label] for label in found.labels)


@pytest.mark.parametrize(("bound", "regions"), [(None, 3), (0.7, 2), (0.9, 3)])
def test_of_overlapping_regions_the_best_is_given(
    model: UniPerceiver,
    make_task: MakeTask,
    annotated: Callable,
    monkeypatch: pytest.MonkeyPatch,
    bound: float | None,
    regions: int,
) -> None:
    """Two boxes with an IoU of 0.8 and one apart."""
    proposals = KeptProposals(
        index=torch.tensor([[0, 1, 2]]),
        boxes=torch.tensor([[[0.3, 0.3, 0.4, 0.4], [0.3, 0.28, 0.4, 0.32], [0.8, 0.8, 0.2, 0.2]]]),
        mask_embeddings=torch.ones(1, 3, 1),
        objectness=torch.tensor([[1.0, 2.0, -1.0]]),
        mask_features=torch.ones(1, 1, 16, 16),
    )
    tokens = torch.randn(1, 3, model.config.decoder.width, generator=torch.Generator().manual_seed(0))
    segment = Segment(tokens, torch.zeros(1, 3, dtype=torch.bool), "image")
    monkeypatch.setattr(model, "encode_image", lambda images: ImageFeatures(segment, proposals))
    task = make_task(suppress_above=bound)
    (found,) = task.predict(model, task.collate([annotated("a", [], [])]))
    assert len(found) == regions * len(NAMES)
    given = {round(float(score), 4) for score in found.objectness}
    everything = {0.7311, 0.8808, 0.2689}
    assert given == (everything if regions == 3 else everything - {0.7311})


def test_masks_end_where_the_margin_of_their_boxes_does(
    model: UniPerceiver, make_task: MakeTask, annotated: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks over the whole picture, and parts of them that are made one by one; the boxes stay."""
    monkeypatch.setattr("uniperceiver.tasks.detection.MASKS_AT_ONCE", 1)
    proposals = KeptProposals(
        index=torch.tensor([[0, 1]]),
        boxes=torch.tensor([[[0.25, 0.5, 0.25, 0.5], [0.75, 0.5, 0.25, 0.25]]]),
        mask_embeddings=torch.ones(1, 2, 1),
        objectness=torch.zeros(1, 2),
        mask_features=torch.ones(1, 1, 16, 16),
    )
    tokens = torch.randn(1, 2, model.config.decoder.width, generator=torch.Generator().manual_seed(0))
    segment = Segment(tokens, torch.zeros(1, 2, dtype=torch.bool), "image")
    monkeypatch.setattr(model, "encode_image", lambda images: ImageFeatures(segment, proposals))
    for margin, areas in ((None, {64 * 64}), (0.0, {16 * 32, 16 * 16}), (0.5, {32 * 64, 32 * 32})):
        task = make_task(mask_margin=margin)
        (found,) = task.predict(model, task.collate([annotated("a", [], [])]))
        assert set(found.masks.sum(axis=(1, 2)).tolist()) == areas
        assert {tuple(box) for box in found.boxes.tolist()} == {(8, 16, 24, 48), (40, 24, 56, 40)}


def test_a_batch_is_its_pictures_one_by_one(model: UniPerceiver, make_task: MakeTask, annotated: Callable) -> None:
    """With the same padded size; padding of one picture does not reach another."""
    records = [annotated("a", [], [], size=(64, 64)), annotated("b", [[4, 4, 20, 20]], [1], size=(50, 60))]
    task = make_task()
    together = task.predict(model, task.collate(records))
    for record, prediction in zip(records, together, strict=True):
        (alone,) = task.predict(model, task.collate([record]))
        np.testing.assert_allclose(alone.scores, prediction.scores, atol=1e-5)
        np.testing.assert_allclose(alone.boxes, prediction.boxes, atol=1e-2)
        np.testing.assert_allclose(alone.mask_scores, prediction.mask_scores, atol=1e-4)
        assert np.mean(alone.masks != prediction.masks) < 1e-3
        assert prediction.masks.shape[1:] == record.original_size


def test_at_most_100_of_9624_pairs(model: UniPerceiver, make_task: MakeTask, annotated: Callable) -> None:
    """1,203 names and 8 regions."""
    task = make_task()
    words = ["a", "red", "car", "beside", "green", "tree", "two", "dogs", "run", "on", "the", "grass"]
    names = [f"{words[i % 12]} {words[i // 12 % 12]} {words[i // 144]}" for i in range(1203)]
    task = DetectionTask(task.setting, CandidateSet.from_texts(names, task.setting.tokenizer))
    (found,) = task.predict(model, task.collate([empty(annotated)]))
    assert len(found.scores) == len(found.boxes) == len(found.masks) == len(found.names) == 100
    assert found.names == tuple(names[label] for label in found.labels)
    assert ((found.scores > 0) & (found.scores < 1)).all()


def test_a_model_without_regions_is_told_so(
    tiny_model_config: ModelConfig, make_task: MakeTask, annotated: Callable
) -> None:
    model = UniPerceiver(replace(tiny_model_config, image=replace(tiny_model_config.image, proposals=None))).eval()
    task = make_task()
    batch = task.collate([empty(annotated)])
    with pytest.raises(ValueError, match=r"image\.proposals"):
        task.loss(model, batch)
    with pytest.raises(ValueError, match=r"image\.proposals"):
        task.predict(model, batch)


def test_the_weight_of_names_is_beside_the_proposal_losses(
    model: UniPerceiver, setting: Callable, annotated: Callable
) -> None:
    losses = []
    for weight in (1.0, 3.0):
        chosen = setting(kind="detection")
        chosen = replace(chosen, proposal_loss=replace(chosen.proposal_loss, names=weight))
        task = DetectionTask(chosen, DetectionTask.find_candidates(chosen, SimpleNamespace(names=NAMES)))
        torch.manual_seed(0)
        losses.append(task.loss(model, task.collate([annotated("two", [[4, 4, 30, 30], [34, 20, 60, 60]], [0, 2])])))
    torch.testing.assert_close(losses[1]["names"], 3 * losses[0]["names"])
    torch.testing.assert_close(losses[1]["giou"], losses[0]["giou"])
