"""Texts of similar length are read together, so that little of what is read is padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.batches import TextBatch

GROUPS = 3
"""On a processor. Of a batch of captions half would be padding in one group, and four were no quicker."""


def read_by_length(text: TextBatch, read: Callable[[Tensor, TextBatch], Tensor]) -> Tensor:
    """What ``read`` gives for R texts, (R, L, D), L of the longest; zeros where a text is padded beyond its group.

    ``read`` gets the index (n,) of a group's texts and the texts themselves, l tokens a row, and gives (n, l, D), or
    with a slot per word (n, l/2, D). A GPU, which is busy with few of them, gets all texts at once.
    """
    groups = GROUPS if text.ids.device.type == "cpu" else 1
    by_length = (~text.is_padding).sum(dim=1).argsort()
    members = by_length.tensor_split(min(groups, text.size))
    parts = [read(rows, text.rows(rows).trimmed()) for rows in members]
    longest = max(part.shape[1] for part in parts)
    padded = [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
    return torch.cat(padded).index_select(0, by_length.argsort())
