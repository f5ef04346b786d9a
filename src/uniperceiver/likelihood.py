"""The one formula every task shares: a cosine, a temperature, a softmax over the candidate targets (Sec. 4.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.linear import linear

_SHORTEST = 1e-6
"""Vectors shorter than this are not brought to unit length: their cosines and gradients fade to zero instead of NaN."""


def similarity(x: Tensor, y: Tensor, temperature: Tensor | float) -> Tensor:
    """cos(x, y) / τ, the exponent of Eq. (6): (…, D) and (Y, D) -> (…, Y) float32.

    ``x`` and ``y`` are read-outs of g; they need not have unit length. ``temperature`` is τ > 0, a scalar. Computed in
    float32 (or more, if the inputs have more) even under autocast, because logits reach ±100. A zero vector has
    cosine 0 with everything. Raises ValueError when ``y`` is empty or the widths differ.
    """
    if y.ndim != 2 or y.shape[0] == 0 or x.shape[-1] != y.shape[1]:
        raise ValueError(
            "expected representations (…, D) and at least one candidate (Y, D), "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        return linear(unit_vectors(x.to(dtype)), unit_vectors(y.to(dtype))) / temperature


def unit_vectors(y: Tensor) -> Tensor:
    """Representations (…, D) at unit length, float32 (or more).

    Targets that stay the same over many comparisons are brought to unit length once: `similarity` of unit vectors is
    the same, but a vocabulary of 50,000 is 150 MB to read and write.
    """
    with torch.autocast(y.device.type, enabled=False):
        return F.normalize(y.to(torch.promote_types(y.dtype, torch.float32)), dim=-1, eps=_SHORTEST)


def log_likelihood_of_units(x: Tensor, units: Tensor, temperature: Tensor | float) -> Tensor:
    """`log_likelihood` where the candidates are `unit_vectors` already."""
    with torch.autocast(x.device.type, enabled=False):
        return (linear(unit_vectors(x).to(units.dtype), units) / temperature).log_softmax(dim=-1)


def log_likelihood(x: Tensor, y: Tensor, temperature: Tensor | float) -> Tensor:
    """log P(x, y) of Eq. (6), normalised over the candidates: (…, D) and (Y, D) -> (…, Y) float32, at most 0."""
    return similarity(x, y, temperature).log_softmax(dim=-1)


def most_likely(x: Tensor, y: Tensor) -> Tensor:
    """The candidate of maximum likelihood, Eq. (5): (…, D) and (Y, D) -> (…,) int64 indices into ``y``.

    No temperature: it does not change which cosine is the largest.
    """
    return similarity(x, y, 1.0).argmax(dim=-1)


def negative_log_likelihood(
    x: Tensor, y: Tensor, temperature: Tensor | float, target: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """The bracket of Eq. (7) without ω: -log(P(x, y_target) / Σ_z P(x, z)), one value per item.

    ``x`` (…, D), ``y`` (Y, D), ``target`` (…,) int64 indices into ``y`` -> (…,) float32. The sampling ratio s_k lives
    in `training.mixture`, the scale ω_k in `training.mt_adamw`. A target outside [0, Y) is an error of the indexing.
    ``label_smoothing`` in [0, 1) is the part of the probability that is spread over all of Y, the target included.
    """
    log_likelihoods = log_likelihood(x, y, temperature)
    of_target = -log_likelihoods.gather(-1, target[..., None]).squeeze(-1)
    if label_smoothing == 0:
        return of_target
    return torch.lerp(of_target, -log_likelihoods.mean(dim=-1), label_smoothing)
