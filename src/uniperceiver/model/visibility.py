"""Who sees whom in g: <SPE>, pictures, questions, and captions that are written word by word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from uniperceiver.model.layers.attention import causal_is_blocked
from uniperceiver.model.segments import Segment


def blocked_keys(segments: Sequence[Segment], is_padding: Tensor) -> Tensor | None:
    """Who may not see whom, (B, 1, 1 or L, L) over <SPE> ‖ segments; None when everybody sees everybody."""
    if not any(segment.causal for segment in segments):
        # an exported graph serves inputs with padding and without
        is_needed = torch.compiler.is_exporting() or bool(is_padding.any())
        return is_padding[:, None, None, :] if is_needed else None
    blocked = is_padding[:, None, :].repeat(1, is_padding.shape[1], 1)
    start = 1
    for segment in segments:
        own = slice(start, start + segment.tokens.shape[1])
        if segment.causal:
            blocked[:, : own.start, own] = True
            blocked[:, own.stop :, own] = True
            blocked[:, own, own] |= causal_is_blocked(_causal_positions(segment), slots(segment))
        start = own.stop
    return blocked[:, None]


def _causal_positions(segment: Segment) -> Tensor:
    if segment.positions is None:
        raise ValueError(f"a causal segment needs positions, got a {segment.modality} segment without")
    return segment.positions


def slots(segment: Segment) -> Tensor:
    """Which tokens are slots, (B, L) bool: none of a segment that does not say."""
    return torch.zeros_like(segment.is_padding) if segment.is_slot is None else segment.is_slot
