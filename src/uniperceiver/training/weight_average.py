"""An exponential moving average (EMA) of the weights, often better than the weights themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from uniperceiver.training.parallel import distributed_like


class WeightAverage:
    """a ← d a + (1 - d) θ after every step, for the parameters θ that are trained.

    d is ``decay``, smaller at first, min(decay, (1 + t) / (10 + t)) after t steps, so that a short training forgets its
    random start too. Sharded parameters have sharded averages.
    """

    def __init__(self, model: nn.Module, decay: float, start: Mapping[str, Tensor] | None = None) -> None:
        """``start`` are averages to go on from, by parameter, whole; None: the parameters as they are."""
        self.decay = decay
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._averages = {name: p.detach().clone() for name, p in self._trained.items()}
        if start is not None:
            if set(start) != set(self._averages):
                unlike = sorted(set(start) ^ set(self._averages))
                raise ValueError(f"the kept average is of other parameters than are trained, e.g. {unlike[0]}")
            for name, average in self._averages.items():
                average.copy_(distributed_like(start[name].to(average.device), average))

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the parameters after ``steps`` steps."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, average in self._averages.items():
            average.mul_(decay).add_(self._trained[name].detach(), alpha=1 - decay)

    def averages(self) -> dict[str, Tensor]:
        """The averages by parameter, as they lie in memory: sharded where the parameters are."""
        return self._averages
