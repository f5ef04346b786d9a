"""Low-rank updates of linear maps, LoRA (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from uniperceiver.config import LoraConfig
from uniperceiver.model.conditional_moe import gate_modules


class LowRankUpdate(nn.Module):
    """W ← W + (α / r) B A for a matrix W (out, in), with A (r, in) and B (out, r).

    A starts Kaiming-uniform and B at zero, so that nothing changes at first (LoRA, Sec. 4.1).
    """

    def __init__(self, weight: Tensor, config: LoraConfig) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.scale = config.alpha / config.rank
        self.down = nn.Parameter(weight.new_empty(config.rank, inputs))
        self.up = nn.Parameter(weight.new_zeros(outputs, config.rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """The updated matrix."""
        return weight + self.scale * self.up @ self.down


def add_low_rank_updates(module: nn.Module, config: LoraConfig) -> None:
    """Give every linear map inside a module an update, in place; the gates of experts are left out.

    A weight is then computed where it is used, so experts are updated before they are merged. In the state dict
    ``weight`` becomes ``parametrizations.weight.original``, beside ``….0.down`` and ``….0.up``.
    """
    for linear in _linear_maps(module):
        parametrize.register_parametrization(linear, "weight", LowRankUpdate(linear.weight, config), unsafe=True)


def merge_low_rank_updates(module: nn.Module) -> None:
    """Write the updates into the weights and remove them, in place: the plain module that computes the same."""
    with torch.no_grad():
        for linear in _linear_maps(module):
            if parametrize.is_parametrized(linear, "weight"):
                parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


def _linear_maps(module: nn.Module) -> list[nn.Linear]:
    gates = gate_modules(module)
    return [part for part in module.modules() if isinstance(part, nn.Linear) and part not in gates]
