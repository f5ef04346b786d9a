"""The loss of the region proposal network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uniperceiver.config import DenoisingConfig, ProposalLossConfig
from uniperceiver.losses.mask_points import uniform_points
from uniperceiver.losses.matching import Matches, ObjectBatch, match
from uniperceiver.losses.proposal_loss import (
    ProposalLoss,
    StageLosses,
    denoising_matches,
    focal_loss,
    objectness_loss,
    proposal_loss,
)
from uniperceiver.model.proposals.denoising import DenoisingQueries, make_denoising_queries
from uniperceiver.model.proposals.outputs import ProposalOutput, Stage

CONFIG = ProposalLossConfig(points=40)
NAMES = {"objectness": "ce", "box": "bbox", "giou": "giou", "mask": "mask", "dice": "dice"}


def make_output(make_stage, denoising: DenoisingQueries | None, images: int = 3) -> ProposalOutput:
    """Three stages of five queries, and as many denoising stages."""
    return ProposalOutput(
        semantics=torch.randn(images, 5, 4),
        stages=tuple(make_stage(images, 5) for _ in range(3)),
        encoder_stage=make_stage(images, 5),
        denoising_stages=tuple(make_stage(images, denoising.slots) for _ in range(3)) if denoising else (),
        mask_features=torch.randn(images, 6, 8, 8, requires_grad=True),
    )


def draw(seed: int = 0):
    return uniform_points(torch.device("cpu"), torch.Generator().manual_seed(seed))


def same_points(sets: int, points: int) -> Tensor:
    """A source that gives every set the same points, so that a pair's do not depend on the pairs before it."""
    return torch.rand(points, 2, generator=torch.Generator().manual_seed(points)).expand(sets, -1, -1)


def leaves(output: ProposalOutput) -> list[Tensor]:
    stages = (output.encoder_stage, *output.stages, *output.denoising_stages)
    return [output.mask_features, *(t for s in stages for t in (s.logits, s.boxes, s.mask_embeddings))]


def test_all_45_losses_of_mask_dino(recorded_training) -> None:
    recorded, values = recorded_training, recorded_training.values
    loss = proposal_loss(recorded.output, recorded.targets, recorded.denoising, recorded.config, recorded.draw())
    stages: dict[str, StageLosses] = {"_interm": loss.encoder_stage}
    stages |= dict(zip(("_0", "_1", "_2", ""), loss.stages, strict=True))
    stages |= dict(zip(("_dn_0", "_dn_1", "_dn_2", "_dn"), loss.denoising_stages, strict=True))
    for suffix, stage in stages.items():
        for ours, theirs in NAMES.items():
            recorded_loss = values[f"out/loss/loss_{theirs}{suffix}"]
            torch.testing.assert_close(getattr(stage, ours), recorded_loss, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sum(loss.weighted.values()), values["out/loss_total"], rtol=1e-4, atol=1e-4)


def test_focal_loss_of_mask_dino(primitives: dict[str, Tensor]) -> None:
    loss = focal_loss(primitives["in/focal_logits"], primitives["in/focal_targets"]).sum() / 3
    torch.testing.assert_close(loss, primitives["out/focal_loss_nb3"])


def test_focal_loss_by_hand() -> None:
    x = torch.tensor([0.0, 0.0, 2.0])
    p = torch.sigmoid(x[2])
    expected = torch.stack(
        [0.25 * 0.25 * torch.tensor(2.0).log(), 0.75 * 0.25 * torch.tensor(2.0).log(), -0.25 * (1 - p) ** 2 * p.log()]
    )
    torch.testing.assert_close(focal_loss(x, torch.tensor([1.0, 0.0, 1.0])), expected)


def test_weights_apply_to_every_stage(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets = make_targets(2, 1, 3)
    denoising = make_denoising_queries(targets, DenoisingConfig(queries=3), 5)
    loss = proposal_loss(make_output(make_stage, denoising), targets, denoising, CONFIG)
    stages = [loss.encoder_stage, *loss.stages, *loss.denoising_stages]
    assert len(stages) == 1 + 3 + 3
    for name, weight in {"objectness": 2, "box": 5, "giou": 2, "mask": 5, "dice": 5}.items():
        total = sum(getattr(stage, name) for stage in stages)
        torch.testing.assert_close(loss.weighted[name], weight * total)


def test_masks_of_the_first_and_last_stage_alone(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets = make_targets(2, 1, 3)
    denoising = make_denoising_queries(targets, DenoisingConfig(queries=3), 5)
    output = make_output(make_stage, denoising)
    loss = proposal_loss(output, targets, denoising, replace(CONFIG, masks_of="first_and_last"))
    for stages in (loss.stages, loss.denoising_stages):
        assert all(stage.mask == stage.dice == 0 < stage.box for stage in stages[:-1])
        assert all(stage.mask > 0 for stage in (stages[-1], loss.encoder_stage))


def test_final_matches_are_those_of_the_last_stage(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets, output = make_targets(2, 0, 3), make_output(make_stage, None)
    drawn: list[Tensor] = []

    def recording(sets: int, points: int) -> Tensor:
        drawn.append(source(sets, points))
        return drawn[-1]

    source = draw()
    matches = proposal_loss(output, targets, None, CONFIG, recording).matches
    objects = ObjectBatch.from_targets(targets, 1)
    expected = match(output.final, output.mask_features, objects, drawn[-3], CONFIG)
    assert torch.equal(matches.query, expected.query)
    assert matches.image.tolist() == [0, 0, 2, 2, 2]
    assert sorted(matches.target[2:].tolist()) == [0, 1, 2]


def test_perfect_predictions_have_no_loss(make_targets, make_stage) -> None:
    """Each object is predicted exactly by one query, with certain masks; the other queries say background."""
    torch.manual_seed(0)
    targets = make_targets(2, size=16)
    targets = [replace(targets[0], masks=targets[0].masks.repeat_interleave(4, 1).repeat_interleave(4, 2))]
    stage = make_stage(1, 5, width=2)
    logits, boxes = torch.full((1, 5, 1), -30.0), stage.boxes.detach().clone()
    embeddings = torch.zeros(1, 5, 2)
    for target, query in enumerate((3, 1)):
        logits[0, query], boxes[0, query], embeddings[0, query, target] = 30.0, targets[0].boxes[target], 60.0
    perfect = replace(stage, logits=logits, boxes=boxes, mask_embeddings=embeddings)
    features = (targets[0].masks[:, 1::4, 1::4].float() * 2 - 1)[None]
    output = ProposalOutput(torch.zeros(1, 5, 4), (perfect,), perfect, (), features)
    loss = proposal_loss(output, targets, None, replace(CONFIG, points=400, importance=0.0), draw())
    assert loss.matches.query.tolist() == [1, 3]
    assert loss.matches.target.tolist() == [1, 0]
    assert loss.weighted["objectness"] < 1e-6
    assert loss.weighted["box"] < 1e-6
    assert loss.weighted["giou"] < 1e-3  # the boxes' epsilon
    # Only points between the centres of two unlike pixels of the coarser features differ.
    worse = replace(perfect, mask_embeddings=-embeddings)
    other = proposal_loss(replace(output, stages=(worse,), encoder_stage=worse), targets, None, CONFIG, draw())
    assert loss.weighted["dice"] < 0.1 * other.weighted["dice"]
    assert loss.weighted["mask"] < 0.1 * other.weighted["mask"]


@pytest.mark.parametrize("counts", [(0, 0, 0), (2, 0, 3)])
def test_images_without_objects(counts: tuple[int, ...], make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets = make_targets(*counts)
    denoising = make_denoising_queries(targets, DenoisingConfig(queries=3), 5)
    output = make_output(make_stage, denoising)
    loss = proposal_loss(output, targets, denoising, CONFIG)
    total = sum(loss.weighted.values())
    total.backward()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in leaves(output))
    if not any(counts):
        assert denoising is None
        assert loss.normaliser == 1
        assert all(loss.weighted[name] == 0 for name in ("box", "giou", "mask", "dice"))
        assert loss.weighted["objectness"] > 0


def test_negatives_are_background_and_positives_their_object(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets = make_targets(2, 1)
    denoising = make_denoising_queries(targets, DenoisingConfig(queries=2), 5)
    assert denoising is not None
    matches = denoising_matches(denoising)
    assert len(matches.query) == 3 * denoising.groups
    assert torch.equal(denoising.target_index[matches.image, matches.query], matches.target)
    output = make_output(make_stage, denoising, images=2)
    proposal_loss(output, targets, denoising, CONFIG).weighted["box"].backward()
    is_positive = denoising.target_index >= 0
    gradient = output.denoising_stages[-1].boxes.grad
    assert gradient is not None
    assert (gradient[is_positive] != 0).any(dim=-1).all()
    assert not gradient[~is_positive].any()


def test_denoising_is_divided_by_its_groups(make_targets, make_stage) -> None:
    """Two groups with equal predictions cost as much as one."""
    torch.manual_seed(0)
    targets = make_targets(2)
    index = torch.tensor([[0, 1, -1, -1]])
    stage = make_stage(1, 4)
    rest = make_output(make_stage, None, images=1)

    def loss(groups: int) -> StageLosses:
        slots = index.repeat(1, groups)
        queries = DenoisingQueries(
            labels=torch.zeros_like(slots),
            boxes_unsigmoid=torch.zeros(1, 4 * groups, 4),
            is_filled=slots >= 0,
            target_index=slots,
            is_blocked=torch.zeros(1, 1, dtype=torch.bool),
            groups=groups,
        )
        tensors = [t.repeat(1, groups, 1) for t in (stage.logits, stage.boxes, stage.mask_embeddings)]
        output = replace(rest, denoising_stages=(type(stage)(*tensors),))
        return proposal_loss(output, targets, queries, CONFIG, draw()).denoising_stages[0]

    for name in ("objectness", "box", "giou"):
        torch.testing.assert_close(getattr(loss(1), name), getattr(loss(2), name))


def test_padding_of_the_canvas_moves_no_box_loss(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets, output = make_targets(2, 0, 3), make_output(make_stage, None)
    small = proposal_loss(output, targets, None, replace(CONFIG, mask=0.0, dice=0.0), draw())
    wide = [replace(t, masks=torch.nn.functional.pad(t.masks, (0, 32))) for t in targets]
    large = replace(output, mask_features=torch.nn.functional.pad(output.mask_features, (0, 8)))
    padded = proposal_loss(large, wide, None, replace(CONFIG, mask=0.0, dice=0.0), draw())
    assert torch.equal(small.weighted["box"], padded.weighted["box"])
    assert torch.equal(small.matches.query, padded.matches.query)


def test_autocast_changes_nothing(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets, output = make_targets(2, 1, 3), make_output(make_stage, None)
    plain = proposal_loss(output, targets, None, CONFIG, draw())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = proposal_loss(output, targets, None, CONFIG, draw())
    for name, value in plain.weighted.items():
        assert torch.equal(value, cast.weighted[name])


def test_a_generator_makes_it_repeatable(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets, output = make_targets(2, 1, 3), make_output(make_stage, None)
    first, again, other = (proposal_loss(output, targets, None, CONFIG, draw(seed)).weighted for seed in (1, 1, 2))
    assert first["mask"] == again["mask"]
    assert first["mask"] != other["mask"]


def test_a_head_without_stages_can_be_supervised() -> None:
    """The objectness of the fused proposals (A15): positive where matched."""
    logits = torch.tensor([[3.0, -1.0, 0.5], [0.0, 2.0, -2.0]], requires_grad=True)
    matches = Matches(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([0, 0]))
    loss = objectness_loss(logits[..., None], matches, torch.zeros(2, dtype=torch.int64), torch.tensor(2.0))
    positive = torch.tensor([[0.0, 0, 1], [0, 1, 0]])
    torch.testing.assert_close(loss, focal_loss(logits, positive).sum() / 2)
    loss.backward()
    assert logits.grad is not None
    assert ((logits.grad < 0) == positive.bool()).all()


def test_what_does_not_belong_together_is_refused(make_targets, make_stage) -> None:
    targets, output = make_targets(1, 1, 1), make_output(make_stage, None)
    with pytest.raises(ValueError, match="2 targets for 3 images"):
        proposal_loss(output, targets[:2], None, CONFIG)
    denoising = make_denoising_queries(targets, DenoisingConfig(queries=2), 5)
    with pytest.raises(ValueError, match="belong together"):
        proposal_loss(output, targets, denoising, CONFIG)


def test_the_result_says_how_many_objects(make_targets, make_stage) -> None:
    loss: ProposalLoss = proposal_loss(make_output(make_stage, None), make_targets(2, 0, 3), None, CONFIG)
    assert loss.normaliser == 5


def test_masks_are_compared_where_there_are_some(make_targets, make_stage) -> None:
    """Objects without a mask take no part in the mask losses: not in the sum, not in the number it is divided by."""
    torch.manual_seed(0)
    with_masks, boxes_alone = make_targets(2), make_targets(3, have_masks=False)
    stage = make_stage(2, 5)
    output = ProposalOutput(torch.zeros(2, 5, 4), (stage,), stage, (), torch.randn(2, 6, 8, 8))
    mixed = proposal_loss(output, [*with_masks, *boxes_alone], None, CONFIG, same_points)
    first = Stage(stage.logits[:1], stage.boxes[:1], stage.mask_embeddings[:1])
    alone = ProposalOutput(torch.zeros(1, 5, 4), (first,), first, (), output.mask_features[:1])
    expected = proposal_loss(alone, with_masks, None, CONFIG, same_points)
    for name in ("mask", "dice"):
        torch.testing.assert_close(mixed.weighted[name], expected.weighted[name])
    assert mixed.normaliser == 5


def test_without_any_mask_boxes_and_objectness_are_trained(make_targets, make_stage) -> None:
    torch.manual_seed(0)
    targets = make_targets(2, 1, have_masks=False)
    denoising = make_denoising_queries(targets, DenoisingConfig(queries=3), 5)
    output = make_output(make_stage, denoising, images=2)
    loss = proposal_loss(output, targets, denoising, CONFIG)
    assert set(loss.weighted) == {"objectness", "box", "giou"}
    sum(loss.weighted.values()).backward()
    assert all(stage.mask_embeddings.grad is None for stage in (output.encoder_stage, *output.stages))
    assert all(stage.boxes.grad is not None and stage.boxes.grad.any() for stage in output.stages)
    filled = [replace(target, masks=~target.masks) for target in targets]
    again = proposal_loss(output, filled, denoising, CONFIG)
    for name, value in loss.weighted.items():
        assert torch.equal(value, again.weighted[name])
