"""What a task is: it says what the two sides of Eq. (6) are, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver


class Task(Protocol):
    """One task: how records become a batch, what its loss is, and how it predicts."""

    attributes: TaskAttributes

    def collate(self, records: Sequence[Any]) -> Any:
        """Records, already transformed, as the task's typed batch (on the CPU)."""
        ...

    def loss(self, model: UniPerceiver, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; their sum is what is minimised."""
        ...

    def predict(self, model: UniPerceiver, batch: Any) -> list[Any]:
        """One prediction per record of the batch, in order."""
        ...
