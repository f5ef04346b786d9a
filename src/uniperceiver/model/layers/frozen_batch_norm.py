"""Batch norms with constant statistics, applied to the weights of the convolution before them instead of its output."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from timm.layers import FrozenBatchNormAct2d
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

FrozenBatchNorm: TypeAlias = FrozenBatchNormAct2d | FrozenBatchNorm2d
"""What timm makes of the batch norms of a network when it freezes them."""
FOLDED = (nn.Conv2d, Conv2dSame)
"""Convolutions that `NormedConv2d` stands in for; others that derive from them may do something else."""


class FrozenNorm(nn.Module):
    """What is left of a frozen batch norm whose scale and shift a `NormedConv2d` applies: constants and activation."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: FrozenBatchNorm) -> None:
        super().__init__()
        for name, constant in norm.named_buffers(recurse=False):
            self.register_buffer(name, constant)
        self.eps = norm.eps
        self.act = nn.Sequential(norm.drop, norm.act) if isinstance(norm, FrozenBatchNormAct2d) else nn.Identity()

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """The constants of ``y = scale · x + shift``, (channels,) each."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w), already scaled and shifted."""
        return self.act(x)


class NormedConv2d(nn.Module):
    """A convolution with the frozen batch norm behind it: scale · (W * x + b) + shift = (scale · W) * x + ….

    The parameters stay those of the convolution and the norm keeps its name in the network, so checkpoints and the
    steps of an optimiser are the same. Only the passes over the output are gone, which on a processor cost more than
    the convolution.
    """

    def __init__(self, convolution: nn.Conv2d, norm: FrozenNorm) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.stride, self.padding, self.dilation = convolution.stride, convolution.padding, convolution.dilation
        self.groups = convolution.groups
        self.pads_same = isinstance(convolution, Conv2dSame)
        self._norm = (norm,)  # in a tuple, where it is no submodule

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h', w')."""
        scale, shift = self._norm[0].scale_and_shift()
        weight = self.weight * scale[:, None, None, None]
        bias = shift if self.bias is None else self.bias * scale + shift
        if self.pads_same:
            _, _, *kernel = weight.shape
            x = pad_same(x, kernel, list(self.stride), list(self.dilation))
        if not self._is_slow_in_bfloat16(x):
            return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        with torch.autocast("cpu", enabled=False):
            out = F.conv2d(x.float(), weight, bias, self.stride, self.padding, self.dilation, self.groups)
        return out.to(torch.get_autocast_dtype("cpu"))

    def _is_slow_in_bfloat16(self, x: Tensor) -> bool:
        """Gradients of depthwise convolutions on a processor: float32 takes a third of bfloat16's time."""
        is_trained = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        return is_trained and self.groups > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


def fold_frozen_norms(network: nn.Module) -> None:
    """Let every convolution of ``network`` apply the frozen batch norm that takes its output, in place.

    Which norm follows which convolution is seen by running the network once, on a picture so small that it takes less
    time than running it on shapes alone.
    """
    names = {module: name for name, module in network.named_modules()}
    if any(isinstance(module, FrozenBatchNorm) for module in names):
        for convolution, norm in _followers(network):
            rest = FrozenNorm(norm)
            network.set_submodule(names[norm], rest)
            network.set_submodule(names[convolution], NormedConv2d(convolution, rest))


def _followers(network: nn.Module) -> list[tuple[nn.Conv2d, FrozenBatchNorm]]:
    """Convolutions of zero padding, each with the frozen norm that takes its output."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # with the output, so that no later tensor gets its id
    pairs: list[tuple[nn.Conv2d, FrozenBatchNorm]] = []

    def watch(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Conv2d) and type(module) in FOLDED and module.padding_mode == "zeros":
            made[id(output)] = module, output
        elif isinstance(module, FrozenBatchNorm) and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    handles = [module.register_forward_hook(watch) for module in network.modules()]
    weight = next(network.parameters())
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, 64, 64, device=weight.device, dtype=weight.dtype))
    finally:
        network.train()
        for handle in handles:
            handle.remove()
    return pairs
