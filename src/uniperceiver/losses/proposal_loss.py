"""The loss of the region proposal network (App. A, "Loss Function"; Tab. 7; spec/mask_dino.md, section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.boxes import cxcywh_to_xyxy, giou
from uniperceiver.config import ProposalLossConfig
from uniperceiver.distributed import mean_over_ranks
from uniperceiver.losses.mask_points import (
    DrawPoints,
    dice_loss,
    mask_cross_entropy,
    sample_maps,
    sample_masks,
    uncertain_points,
    uniform_points,
)
from uniperceiver.losses.matching import FOCAL_ALPHA, FOCAL_GAMMA, Matches, ObjectBatch, match
from uniperceiver.model.proposals.denoising import DenoisingQueries
from uniperceiver.model.proposals.outputs import ProposalOutput, Stage, mask_logits, take


@dataclass(frozen=True)
class StageLosses:
    """The unweighted losses of one stage: scalars, divided by the number of objects, or of masks."""

    objectness: Tensor
    box: Tensor
    """L1 distance of (cx, cy, w, h)."""
    giou: Tensor
    mask: Tensor
    """Binary cross-entropy."""
    dice: Tensor


@dataclass(frozen=True)
class Normalisers:
    """What sums over objects are divided by: numbers per process, averaged over the processes, () float."""

    objects: Tensor
    masks: Tensor
    """Of objects that have a mask."""

    @classmethod
    def from_objects(cls, objects: ObjectBatch) -> Self:
        """The numbers in a batch."""
        own = torch.stack(
            [objects.has_mask.new_tensor(len(objects.labels), dtype=torch.float32), objects.has_mask.sum()]
        )
        return cls(*mean_over_ranks(own))

    def times(self, copies: int) -> Self:
        """For as many copies of every object; at least that."""
        return replace(self, objects=self.objects.clamp(min=1) * copies, masks=self.masks.clamp(min=1) * copies)


@dataclass(frozen=True)
class ProposalLoss:
    """The losses of all stages, and what the detection task goes on with."""

    weighted: dict[str, Tensor]
    """``objectness``, ``box``, ``giou``, ``mask`` and ``dice``, each weighted and summed over all stages; without the
    last two where there are objects, but none on any process has a mask."""
    matches: Matches
    """The assignment of the final stage."""
    normaliser: Tensor
    """() float: objects per process, averaged over the processes, at least 1."""
    stages: tuple[StageLosses, ...]
    """One per `ProposalOutput.stages`."""
    encoder_stage: StageLosses
    denoising_stages: tuple[StageLosses, ...]
    """One per `ProposalOutput.denoising_stages`."""


def proposal_loss(
    output: ProposalOutput,
    targets: Sequence[ObjectTargets],
    denoising: DenoisingQueries | None,
    config: ProposalLossConfig,
    draw: DrawPoints | None = None,
) -> ProposalLoss:
    """Match every stage with the objects and compare; denoising queries are compared with the object they came from.

    Paper: Tab. 7 has one set of weights, used for every stage (A28). Without any object the box and mask losses are
    zeros that are still connected to the predictions. Masks are compared with objects that have one. Computed in
    float32, whatever the autocast.

    Args:
        output: what the network predicts for B images.
        targets: B, on the same device, with masks on the canvas of the mask features.
        denoising: the queries that went in with ``output.denoising_stages``; None where there were none.
        config: weights and points.
        draw: source of points, called for every stage (denoising stages last) for the matching (B, points), then for
            the mask loss (pairs, candidates) and (pairs, fresh points); denoising stages are not matched. None:
            PyTorch's default generator.

    Raises:
        ValueError: numbers of targets or stages do not fit, or a cost is not finite.
    """
    features = output.mask_features.float()
    if len(targets) != len(features):
        raise ValueError(f"{len(targets)} targets for {len(features)} images: give one each, empty without objects")
    if (denoising is None) != (not output.denoising_stages):
        raise ValueError("denoising queries and denoising stages belong together: give both or neither")
    objects = ObjectBatch.from_targets(targets, output.final.logits.shape[-1])
    draw = draw or uniform_points(features.device)
    with torch.autocast(features.device.type, enabled=False):
        numbers = Normalisers.from_objects(objects)
        losses, matches = _matched_stages(output, objects, numbers.times(1), config, draw)
        repaired = [] if denoising is None else _denoising_stages(output, denoising, objects, numbers, config, draw)
    weighted = _weighted_sums([*losses, *repaired], config)
    if numbers.objects > 0 and numbers.masks == 0:
        weighted = {name: value for name, value in weighted.items() if name not in ("mask", "dice")}
    return ProposalLoss(
        weighted=weighted,
        matches=matches,
        normaliser=numbers.times(1).objects,
        stages=tuple(losses[1:]),
        encoder_stage=losses[0],
        denoising_stages=tuple(repaired),
    )


def _matched_stages(
    output: ProposalOutput, objects: ObjectBatch, numbers: Normalisers, config: ProposalLossConfig, draw: DrawPoints
) -> tuple[list[StageLosses], Matches]:
    """Losses of the encoder's stage and of every stage after it, each matched anew; and the matches of the last."""
    features = output.mask_features.float()
    losses: list[StageLosses] = []
    for stage in (output.encoder_stage, *output.stages):
        with_masks = config.masks_of == "every_stage" or stage is output.encoder_stage or stage is output.final
        exact = _in_float32(stage)
        matches = match(exact, features, objects, draw(len(features), config.points), config)
        losses.append(stage_losses(exact, features, objects, matches, numbers, config, draw, with_masks))
    return losses, matches


def _denoising_stages(
    output: ProposalOutput,
    denoising: DenoisingQueries,
    objects: ObjectBatch,
    numbers: Normalisers,
    config: ProposalLossConfig,
    draw: DrawPoints,
) -> list[StageLosses]:
    """Losses of the denoising queries at every stage; each belongs to the object that it came from."""
    features = output.mask_features.float()
    origins, copies = denoising_matches(denoising), numbers.times(denoising.groups)
    losses: list[StageLosses] = []
    for stage in output.denoising_stages:
        with_masks = config.masks_of == "every_stage" or stage is output.denoising_stages[-1]
        exact = _in_float32(stage)
        losses.append(stage_losses(exact, features, objects, origins, copies, config, draw, with_masks))
    return losses


def stage_losses(
    stage: Stage,
    mask_features: Tensor,
    objects: ObjectBatch,
    matches: Matches,
    numbers: Normalisers,
    config: ProposalLossConfig,
    draw: DrawPoints,
    with_masks: bool = True,
) -> StageLosses:
    """The five losses of one stage under given matches, divided by ``numbers`` of objects and of masks.

    All queries take part in the objectness, the matched ones in the rest, and of these, in the mask losses, those whose
    object has a mask. ``draw`` is called for (such pairs, candidates), then for (such pairs, fresh points). Without
    ``with_masks`` the mask losses are zero.
    """
    rows = objects.rows(matches)
    boxes, target_boxes = stage.boxes[matches.image, matches.query], objects.boxes[rows]
    mask = dice = torch.zeros_like(numbers.masks)
    if with_masks:
        has_mask = objects.has_mask[rows]
        masks = _matched_masks(stage.mask_embeddings, mask_features, matches.chosen(has_mask))
        points = uncertain_points(masks, draw, config)
        logits = sample_maps(masks[:, None], points)[:, 0]
        target_masks = sample_masks(objects.masks, rows[has_mask], points)
        mask = mask_cross_entropy(logits, target_masks).sum() / numbers.masks
        dice = dice_loss(logits, target_masks).sum() / numbers.masks
    return StageLosses(
        objectness=objectness_loss(stage.logits, matches, objects.labels[rows], numbers.objects),
        box=F.l1_loss(boxes, target_boxes, reduction="sum") / numbers.objects,
        giou=(1 - giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(target_boxes))).sum() / numbers.objects,
        mask=mask,
        dice=dice,
    )


def objectness_loss(logits: Tensor, matches: Matches, labels: Tensor, normaliser: Tensor) -> Tensor:
    """Focal loss of all queries, positive for the label where matched, else background: sum over ``normaliser``.

    Args:
        logits: (B, Q, K).
        matches: n pairs.
        labels: (n,) below K, of the pairs; zeros for objectness, K = 1.
        normaliser: (), usually `ProposalLoss.normaliser`.
    """
    targets = torch.zeros_like(logits)
    targets[matches.image, matches.query, labels] = 1
    return focal_loss(logits, targets).sum() / normaliser


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid focal loss (α 0.25, γ 2) of logits and targets in {0, 1}, elementwise."""
    p = logits.sigmoid()
    wrong = p + targets - 2 * p * targets
    weight = (1 - FOCAL_ALPHA) + (2 * FOCAL_ALPHA - 1) * targets
    return weight * wrong**FOCAL_GAMMA * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def denoising_matches(denoising: DenoisingQueries) -> Matches:
    """The pairs of denoising slots and the objects they came from; negatives and unfilled slots have none."""
    image, slot = (denoising.target_index >= 0).nonzero(as_tuple=True)
    return Matches(image, slot, denoising.target_index[image, slot])


def _matched_masks(mask_embeddings: Tensor, mask_features: Tensor, matches: Matches) -> Tensor:
    """Logits (n, h, w) of the matched queries' masks, Eq. (8) before upsampling.

    Every pair has points of its own here. Sampling the features for each would need Cm values a point, far more than a
    mask at stride 4 has pixels, so the masks are made, but only those of the matched queries.
    """
    counts = matches.image.bincount(minlength=len(mask_features))
    place = torch.arange(len(matches.image), device=counts.device) - (counts.cumsum(0) - counts)[matches.image]
    # Pairs come image by image: as rows of equal length, one product makes the masks of all images.
    most = int(counts.max())
    query = matches.query.new_zeros(len(counts), most)
    query[matches.image, place] = matches.query
    return mask_logits(take(mask_embeddings, query), mask_features)[matches.image, place]


def _in_float32(stage: Stage) -> Stage:
    return Stage(stage.logits.float(), stage.boxes.float(), stage.mask_embeddings.float())


def _weighted_sums(losses: Sequence[StageLosses], config: ProposalLossConfig) -> dict[str, Tensor]:
    def total(values: Iterable[Tensor], weight: float) -> Tensor:
        return weight * torch.stack(list(values)).sum()

    return {
        "objectness": total((loss.objectness for loss in losses), config.objectness),
        "box": total((loss.box for loss in losses), config.box),
        "giou": total((loss.giou for loss in losses), config.giou),
        "mask": total((loss.mask for loss in losses), config.mask),
        "dice": total((loss.dice for loss in losses), config.dice),
    }
