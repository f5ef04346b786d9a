"""Denoising queries: noised targets that the decoder learns to repair (Tab. 7; spec/mask_dino.md, section 6).

Paper: "contrastive query denoising in Mask DINO" (App. A), but Mask DINO's release has no contrastive denoising. The
two hyper-parameters in Tab. 7 are DINO's, so DINO's kind is the default and the release's the alternative (A9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.boxes import cxcywh_to_xyxy, inverse_sigmoid, xyxy_to_cxcywh
from uniperceiver.config import DenoisingConfig


@dataclass(frozen=True)
class DenoisingQueries:
    """P slots per image that precede the Q matching queries in the decoder."""

    labels: Tensor
    """(B, P) int64, rows of the label embedding after noise; 0 in unfilled slots."""
    boxes_unsigmoid: Tensor
    """(B, P, 4), noised boxes before the sigmoid; 0 in unfilled slots."""
    is_filled: Tensor
    """(B, P) bool; unfilled slots pad images with fewer objects and have zero content."""
    target_index: Tensor
    """(B, P) int64, the object of its image that a slot is to be repaired to; -1 for negatives and unfilled slots,
    which are background in the objectness loss and take no part in the others."""
    is_blocked: Tensor
    """(P + Q, P + Q) bool, row may not attend to column: no slot sees another group, no matching query sees a slot."""
    groups: int
    """Noised copies of every object; the losses of these queries are divided by objects times groups."""

    @property
    def slots(self) -> int:
        """P."""
        return self.labels.shape[1]


@dataclass(frozen=True)
class NoiseDraws:
    """The random numbers behind a set of denoising queries, in the order in which they are drawn.

    An entry is one noised copy of one object. Entry e is copy e // n of object e % n, the n objects of the batch
    counted image by image.
    """

    label_uniform: Tensor
    """(entries,) in [0, 1): labels below half the label noise are replaced..."""
    new_labels: Tensor
    """(replaced,) int64: ...by these, in order."""
    box_sign: Tensor | None
    """(entries, 4) of 0 and 1: the direction of a corner's shift; None for the ``mask_dino`` kind."""
    box_uniform: Tensor
    """(entries, 4) in [0, 1): the size of a shift."""


def make_denoising_queries(
    targets: Sequence[ObjectTargets], config: DenoisingConfig, queries: int, generator: torch.Generator | None = None
) -> DenoisingQueries | None:
    """Denoising queries for a batch, or None where there is nothing to noise.

    Args:
        targets: one per image; images without objects get unfilled slots.
        config: kind and amount of noise.
        queries: Q, the number of matching queries, for ``is_blocked``.
        generator: source of the noise; None: PyTorch's default.
    """
    copies = _copies(max((len(target.labels) for target in targets), default=0), config)
    if copies == 0:
        return None
    draws = draw_noise(copies * sum(len(target.labels) for target in targets), config, generator)
    return noised_queries(targets, draws, config, queries)


def _copies(most: int, config: DenoisingConfig) -> int:
    """Noised copies of every object, given the largest number of objects in an image; negatives count as copies."""
    if most == 0:
        return 0
    if config.kind == "mask_dino":
        return config.queries // most
    # DINO doubles dn_number for the negatives, and takes it for the number of groups when it is then below 100.
    doubled = 2 * config.queries
    groups = doubled // (2 * most) if doubled >= 100 else doubled
    return 2 * max(1, groups)


def draw_noise(entries: int, config: DenoisingConfig, generator: torch.Generator | None = None) -> NoiseDraws:
    """Draw what `noised_queries` needs, on the generator's device (CPU without one)."""
    device = generator.device if generator is not None else torch.device("cpu")
    label_uniform = torch.rand(entries, generator=generator, device=device)
    replaced = int((label_uniform < config.label_noise / 2).sum())
    new_labels = torch.randint(0, config.categories, (replaced,), generator=generator, device=device)
    box_sign = None
    if config.kind == "contrastive":
        box_sign = torch.randint(0, 2, (entries, 4), generator=generator, device=device).float()
    box_uniform = torch.rand(entries, 4, generator=generator, device=device)
    return NoiseDraws(label_uniform, new_labels, box_sign, box_uniform)


def noised_queries(
    targets: Sequence[ObjectTargets], draws: NoiseDraws, config: DenoisingConfig, queries: int
) -> DenoisingQueries:
    """The denoising queries that given random numbers make; a pure function.

    Raises:
        ValueError: the number of draws is no multiple of the number of objects.
    """
    counts = [len(target.labels) for target in targets]
    objects, most, entries = sum(counts), max(counts), len(draws.label_uniform)
    if objects == 0 or entries % objects:
        raise ValueError(f"{entries} draws for {objects} objects: expected a multiple of the number of objects")
    copies = entries // objects
    device = targets[0].boxes.device
    labels = torch.cat([target.labels for target in targets]).repeat(copies) % config.categories
    labels[draws.label_uniform.to(device) < config.label_noise / 2] = draws.new_labels.to(device)
    boxes = torch.cat([target.boxes for target in targets]).repeat(copies, 1)
    copy = torch.arange(copies, device=device).repeat_interleave(objects)
    is_negative = (copy % 2 == 1) if config.kind == "contrastive" else torch.zeros_like(copy, dtype=torch.bool)
    boxes = _noised_boxes(boxes, is_negative, draws, config.box_noise)

    image = torch.cat([torch.full((n,), b, device=device) for b, n in enumerate(counts)]).repeat(copies)
    index = torch.cat([torch.arange(n, device=device) for n in counts]).repeat(copies)
    slot = copy * most + index
    slots = copies * most
    all_labels = labels.new_zeros(len(targets), slots)
    all_boxes = boxes.new_zeros(len(targets), slots, 4)
    is_filled = torch.zeros(len(targets), slots, dtype=torch.bool, device=device)
    target_index = torch.full((len(targets), slots), -1, device=device)
    all_labels[image, slot] = labels
    all_boxes[image, slot] = inverse_sigmoid(boxes)
    is_filled[image, slot] = True
    target_index[image, slot] = torch.where(is_negative, -1, index)
    groups = copies // 2 if config.kind == "contrastive" else copies
    is_blocked = _is_blocked(slots, groups, queries, device)
    return DenoisingQueries(all_labels, all_boxes, is_filled, target_index, is_blocked, groups)


def _noised_boxes(boxes: Tensor, is_negative: Tensor, draws: NoiseDraws, scale: float) -> Tensor:
    """Boxes (entries, 4) in (cx, cy, w, h), shifted and clamped to the image.

    Without signs centre and size move by up to half the size and the size; with them the corners move by up to half the
    size, and by half to the whole size in negatives. Corners may cross, which gives negative sizes.
    """
    uniform = draws.box_uniform.to(boxes)
    if draws.box_sign is None:
        reach = torch.cat([boxes[:, 2:] / 2, boxes[:, 2:]], dim=1)
        return (boxes + (2 * uniform - 1) * reach * scale).clamp(0, 1)
    reach = (boxes[:, 2:] / 2).repeat(1, 2)
    shift = (2 * draws.box_sign.to(boxes) - 1) * (uniform + is_negative[:, None].to(boxes))
    return xyxy_to_cxcywh((cxcywh_to_xyxy(boxes) + shift * reach * scale).clamp(0, 1))


def _is_blocked(slots: int, groups: int, queries: int, device: torch.device) -> Tensor:
    """The attention pattern (P + Q, P + Q) of P denoising slots in equal groups, then Q matching queries."""
    group = torch.arange(slots, device=device) // (slots // groups)
    is_blocked = torch.zeros(slots + queries, slots + queries, dtype=torch.bool, device=device)
    is_blocked[:slots, :slots] = group[:, None] != group[None]
    is_blocked[slots:, :slots] = True
    return is_blocked
