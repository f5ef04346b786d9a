"""Which query answers for which object: Hungarian matching with the costs of Tab. 7 (spec/mask_dino.md, section 7).

Paper: silent on whether the unified decoder's class probabilities take part. They do not (A20): every stage is matched,
and classes exist only after the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.boxes import cxcywh_to_xyxy, giou
from uniperceiver.config import ProposalLossConfig
from uniperceiver.losses.mask_points import (
    pairwise_dice_loss,
    pairwise_mask_cross_entropy,
    sample_maps,
    sample_masks,
)
from uniperceiver.model.proposals.outputs import Stage

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0


@dataclass(frozen=True)
class Matches:
    """Pairs of a query and an object, in the order of the images and, within one, of the queries."""

    image: Tensor
    """(n,) int64, the image of a pair."""
    query: Tensor
    """(n,) int64, its query."""
    target: Tensor
    """(n,) int64, its object, counted from 0 in every image."""

    def chosen(self, is_chosen: Tensor) -> Self:
        """The pairs where ``is_chosen`` (n,) bool."""
        return replace(self, image=self.image[is_chosen], query=self.query[is_chosen], target=self.target[is_chosen])


@dataclass(frozen=True)
class ObjectBatch:
    """The objects of all images of a batch in one row, image by image."""

    boxes: Tensor
    """(N, 4) float, (cx, cy, w, h) in [0, 1]."""
    masks: Tensor
    """(N, H, W) bool."""
    has_mask: Tensor
    """(N,) bool."""
    labels: Tensor
    """(N,) int64 below the number of logits; all 0 when there is one logit, objectness."""
    image: Tensor
    """(N,) int64, the image that it is in."""
    place: Tensor
    """(N,) int64, index within the image."""
    counts: tuple[int, ...]
    """Objects per image."""
    image_ids: tuple[str, ...]

    @classmethod
    def from_targets(cls, targets: Sequence[ObjectTargets], classes: int) -> Self:
        """Join the targets of a batch; ``classes`` is K, the number of logits per query.

        Raises:
            ValueError: boxes, masks and labels of an image disagree, or a label is not below K > 1.
        """
        for target in targets:
            count = len(target.labels)
            if target.boxes.shape != (count, 4) or target.masks.ndim != 3 or len(target.masks) != count:
                raise ValueError(
                    f"image {target.image_id}: expected boxes ({count}, 4) and masks ({count}, H, W) for its labels, "
                    f"got {tuple(target.boxes.shape)} and {tuple(target.masks.shape)}"
                )
            if classes > 1 and count and not 0 <= int(target.labels.min()) <= int(target.labels.max()) < classes:
                raise ValueError(
                    f"image {target.image_id}: labels {target.labels.tolist()} are not all below proposals.classes, "
                    f"{classes}: raise it, or set it to 1 for objectness"
                )
        labels = torch.cat([target.labels for target in targets])
        counts = tuple(len(target.labels) for target in targets)
        return cls(
            boxes=torch.cat([target.boxes for target in targets]).float(),
            masks=torch.cat([target.masks for target in targets]),
            has_mask=torch.cat([target.has_mask for target in targets]),
            labels=labels if classes > 1 else torch.zeros_like(labels),
            image=torch.cat([torch.full((n,), b, device=labels.device) for b, n in enumerate(counts)]),
            place=torch.cat([torch.arange(n, device=labels.device) for n in counts]),
            counts=counts,
            image_ids=tuple(target.image_id for target in targets),
        )

    def rows(self, matches: Matches) -> Tensor:
        """(n,) int64, where the objects of the pairs stand in this batch."""
        starts = np.cumsum((0, *self.counts[:-1]))
        return torch.as_tensor(starts, device=matches.image.device)[matches.image] + matches.target

    def padded(self, values: Tensor) -> Tensor:
        """Values (N, …) of the objects as (B, most objects of an image, …), zero where there is no object."""
        result = values.new_zeros(len(self.counts), max(self.counts), *values.shape[1:])
        result[self.image, self.place] = values
        return result


@torch.no_grad()
def match(
    stage: Stage, mask_features: Tensor, objects: ObjectBatch, points: Tensor, config: ProposalLossConfig
) -> Matches:
    """The cheapest one-to-one assignment of queries to the objects of each image.

    With more objects than queries in an image, every query is used and the remaining objects have no pair.

    Args:
        stage: the predictions of Q queries.
        mask_features: (B, Cm, h, w).
        objects: the targets.
        points: (B, p, 2), where masks are compared: the same points for all queries and objects of an image.
        config: the weights of the costs.

    Raises:
        ValueError: a cost is not finite; the message names the image.
    """
    from scipy.optimize import linear_sum_assignment  # takes half a second, which predictions need not wait for

    device = stage.logits.device
    if not sum(objects.counts):
        empty = torch.zeros(0, dtype=torch.int64, device=device)
        return Matches(empty, empty, empty)
    costs = matching_costs(stage, mask_features, objects, points, config).cpu().numpy()
    pairs = []
    for image, count in enumerate(objects.counts):
        cost = costs[image, :, :count]
        if not np.isfinite(cost).all():
            raise ValueError(_describe_non_finite(stage, mask_features, objects, image))
        query, target = linear_sum_assignment(cost)
        pairs.append(np.stack([np.full_like(query, image), query, target]))
    image, query, target = torch.as_tensor(np.concatenate(pairs, axis=1), device=device)
    return Matches(image, query, target)


@torch.no_grad()
def matching_costs(
    stage: Stage, mask_features: Tensor, objects: ObjectBatch, points: Tensor, config: ProposalLossConfig
) -> Tensor:
    """Cost of every query with every object, (B, Q, most objects of an image); meaningless beyond an image's objects.

    Full masks are never made: the mask features are sampled once at the shared points and then multiplied with the mask
    embeddings, which is the same, since sampling is linear. With an object that has
    no mask, masks cost every query the same: nothing. Arguments as of `match`.
    """
    boxes, labels = objects.padded(objects.boxes), objects.padded(objects.labels)
    class_costs = focal_cost(stage.logits)
    objectness = class_costs.gather(2, labels[:, None].expand(-1, class_costs.shape[1], -1))
    distance = torch.cdist(stage.boxes, boxes, p=1)
    overlap = giou(cxcywh_to_xyxy(stage.boxes)[:, :, None], cxcywh_to_xyxy(boxes)[:, None])
    logits = stage.mask_embeddings @ sample_maps(mask_features, points)
    own = torch.arange(len(objects.labels), device=points.device)
    masks = objects.padded(sample_masks(objects.masks, own, points[objects.image]))
    mask_costs = config.mask * pairwise_mask_cross_entropy(logits, masks) + config.dice * pairwise_dice_loss(
        logits, masks
    )
    return (
        config.objectness * objectness
        + config.box * distance
        - config.giou * overlap
        + mask_costs * objects.padded(objects.has_mask)[:, None]
    )


def focal_cost(logits: Tensor) -> Tensor:
    """Cost of a query's being positive for each class: the focal loss as a positive minus that as a negative.

    (B, Q, K) -> (B, Q, K).
    """
    p = logits.sigmoid()
    positive = FOCAL_ALPHA * (1 - p) ** FOCAL_GAMMA * -(p + 1e-8).log()
    negative = (1 - FOCAL_ALPHA) * p**FOCAL_GAMMA * -(1 - p + 1e-8).log()
    return positive - negative


def _describe_non_finite(stage: Stage, mask_features: Tensor, objects: ObjectBatch, image: int) -> str:
    tensors = {
        "objectness logits": stage.logits[image],
        "predicted boxes": stage.boxes[image],
        "mask embeddings": stage.mask_embeddings[image],
        "mask features": mask_features[image],
        "target boxes": objects.boxes[objects.image == image],
    }
    bad = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    return (
        f"image {objects.image_ids[image]}: matching costs are not finite because of {', '.join(bad) or 'overflow'}; "
        "check its annotation, or lower the learning rate if training has diverged"
    )
