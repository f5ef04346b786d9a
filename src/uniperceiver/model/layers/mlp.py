"""A stack of linear layers."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from uniperceiver.linear import in_parts

PART = 1024
"""Vectors that inference on a processor computes together."""


class MLP(nn.Module):
    """Linear layers of the given widths, ReLU between them, nothing after the last: (..., first) -> (..., last)."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"an MLP needs an input and an output width, got {widths}")
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def matrices(self) -> list[nn.Parameter]:
        """The weight matrices, for a start of one's own."""
        return [parameter for parameter in self.parameters() if parameter.ndim == 2]

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers; no caller's tensor is changed."""
        return in_parts(self._all_layers, x, PART)

    def _all_layers(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu_()
        return self.layers[-1](x)
