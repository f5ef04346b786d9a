"""Scores of classes: the similarities of Eq. (6), and beside them a linear head where prompt tuning has added one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from uniperceiver.likelihood import similarity
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet


def class_logits(
    model: UniPerceiver,
    x: Tensor,
    candidates: CandidateSet,
    attributes: TaskAttributes,
    temperature: Tensor,
    index: Tensor | None = None,
) -> Tensor:
    """Representations (B, D) -> logits (B, Y) float32 of all candidates, or (B, n) of those at ``index`` (n,).

    The head is that for exactly these candidates (`UniPerceiver.head_for`).
    """
    similarities = similarity(x, candidates.encode(model, attributes, index), temperature)
    head = model.head_for(candidates.texts)
    return similarities if head is None else head(x, similarities, index)


def classification_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Eq. (7): the mean over the items of -Σ_y q(y) log P(y), from logits (B, Y).

    ``targets`` are classes (B,) int64 or shares of classes (B, Y) that add up to one, as mixup makes them. q takes the
    part ``label_smoothing`` of them away and spreads it over all Y classes, the right one included.
    """
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
