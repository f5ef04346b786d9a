"""The joint loss: what DDP wraps, so that one forward serves every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.task import Task


class MultiTaskLoss(nn.Module):
    """One term of Eq. (7) without its weights: s_k and ω_k are in the mixture, and with MT-AdamW in the optimiser."""

    def __init__(self, model: UniPerceiver, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.model = model
        self.tasks = dict(tasks)

    def forward(self, stream: str, batch: Any) -> dict[str, Tensor]:
        """Scalars by name for a batch of the stream; their sum is what is minimised."""
        return self.tasks[stream].loss(self.model, batch)
