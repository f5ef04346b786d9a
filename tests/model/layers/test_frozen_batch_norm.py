"""A convolution that applies its frozen norm equals the two one after the other, in values, gradients and names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import timm
import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn

from uniperceiver.model.layers.frozen_batch_norm import FrozenBatchNorm, NormedConv2d, fold_frozen_norms


def frozen(name: str) -> nn.Module:
    """A network of timm whose norms have statistics that are not the trivial ones."""
    torch.manual_seed(0)
    network = timm.create_model(name, features_only=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return freeze_batch_norm_2d(network)


def gradients(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        yield name, parameter.grad


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv2_050", "resnet26d"])
def test_values_gradients_and_names_stay(name: str) -> None:
    plain, folded = frozen(name).double(), frozen(name).double()  # rounding decides at a kink of ReLU6 in float32
    fold_frozen_norms(folded)
    assert list(folded.state_dict()) == list(plain.state_dict())
    picture = torch.randn(2, 3, 96, 64, dtype=torch.float64)
    for network in (plain, folded):
        sum(level.square().mean() for level in network(picture)).backward()
    for expected, given in zip(plain(picture), folded(picture), strict=True):
        torch.testing.assert_close(given, expected)
    for (key, expected), (_, given) in zip(gradients(plain), gradients(folded), strict=True):
        assert float((given - expected).abs().max()) <= 1e-9 * float(expected.abs().max()) + 1e-12, key


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18"])
def test_every_norm_is_applied_by_its_convolution(name: str) -> None:
    network = frozen(name)
    norms = sum(isinstance(module, FrozenBatchNorm) for module in network.modules())
    fold_frozen_norms(network)
    assert not any(isinstance(module, FrozenBatchNorm) for module in network.modules())
    assert sum(isinstance(module, NormedConv2d) for module in network.modules()) == norms


def test_a_bias_of_the_convolution_is_scaled_too() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), freeze_batch_norm_2d(nn.BatchNorm2d(4)))
    nn.init.uniform_(network[1].running_var, 0.5, 2.0)
    picture = torch.randn(1, 3, 64, 64)
    expected = network(picture)
    fold_frozen_norms(network)
    torch.testing.assert_close(network(picture), expected)


def test_a_norm_of_something_else_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), freeze_batch_norm_2d(nn.BatchNorm2d(4)))
    picture = torch.randn(1, 3, 64, 64)
    expected = network(picture)
    fold_frozen_norms(network)
    assert isinstance(network[2], FrozenBatchNorm)
    torch.testing.assert_close(network(picture), expected)


def test_depthwise_convolutions_are_trained_in_float32() -> None:
    network = frozen("tf_efficientnet_lite0")
    fold_frozen_norms(network)
    picture = torch.randn(1, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trained = [level.detach() for level in network(picture)]
        with torch.no_grad():
            evaluated = network(picture)
    for one, other in zip(trained, evaluated, strict=True):
        assert one.dtype == other.dtype == torch.bfloat16
        scale = float(other.float().std())
        assert float((one.float() - other.float()).abs().mean()) < 0.05 * scale
