"""The stack of linear layers."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.model.layers.mlp import MLP


def test_relu_is_between_layers_but_not_after_the_last() -> None:
    mlp = MLP(3, 5, 2)
    x = torch.randn(4, 3)
    first, last = mlp.layers
    torch.testing.assert_close(mlp(x), last(first(x).clamp(min=0)))
    assert (mlp(torch.randn(100, 3)) < 0).any()


def test_two_widths_are_a_linear_layer() -> None:
    mlp = MLP(3, 2)
    x = torch.randn(2, 3)
    torch.testing.assert_close(mlp(x), x @ mlp.matrices()[0].T + mlp.layers[0].bias)


def test_one_width_is_refused() -> None:
    with pytest.raises(ValueError, match="input and an output width"):
        MLP(3)


def test_inference_in_parts_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uniperceiver.model.layers.mlp.PART", 3)
    mlp, x = MLP(3, 5, 2), torch.randn(2, 4, 3)
    given = x.clone()
    with torch.no_grad():
        found = mlp(x)
    torch.testing.assert_close(found, mlp(x).detach())
    torch.testing.assert_close(x, given, rtol=0, atol=0)
