"""How exactly a model computes, and whether bfloat16 is quicker on a device than float32."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F

from uniperceiver.config import Precision

Computed = Literal["float32", "bfloat16"]
"""Of matrix products and convolutions. Boxes, objectness, gates, cosines and their softmax are float32 in either."""
WORTHWHILE = 1.5
"""Times as fast as in float32 that a product in bfloat16 must be: around it numbers are converted, which takes time."""


class Trial(NamedTuple):
    """What `compare_precisions` measured."""

    float32: float
    """Seconds of a product in float32."""
    bfloat16: float
    """Seconds of it in bfloat16."""

    @property
    def bfloat16_wins(self) -> bool:
        """Whether bfloat16 is quicker by enough."""
        return self.float32 > WORTHWHILE * self.bfloat16


@functools.cache
def compare_precisions() -> Trial:
    """One product of usual size on the processor in both, in turns, best of five each.

    A processor without instructions for bfloat16 imitates them and needs up to three times as long as for float32, one
    with them as little as a quarter.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        exact = torch.randn(512, 768, generator=generator), torch.randn(768, 768, generator=generator)
        rounded = exact[0].bfloat16(), exact[1].bfloat16()
        turns = [(_seconds(*exact), _seconds(*rounded)) for _ in range(6)][1:]  # the first one also sets up
    return Trial(min(a for a, _ in turns), min(b for _, b in turns))


def computed_in(precision: Precision, device: torch.device) -> Computed:
    """What ``precision`` means on a device: ``auto`` is bfloat16 where that is quicker, else float32.

    A processor is measured, once per process; an NVIDIA GPU is asked whether it has bfloat16 itself; on others it is
    float32.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if device.type == "cpu" and compare_precisions().bfloat16_wins else "float32"


def reduced(device: torch.device, computed: Computed) -> AbstractContextManager[None]:
    """Autocast to bfloat16, or for ``float32`` what the caller has."""
    return torch.autocast(device.type, torch.bfloat16) if computed == "bfloat16" else nullcontext()


@contextmanager
def inference(device: torch.device, computed: Computed) -> Iterator[None]:
    """`reduced`, without gradients."""
    with torch.inference_mode(), reduced(device, computed):
        yield


def describe_precisions() -> str:
    """What ``auto`` means on this machine's processor, one line."""
    trial = compare_precisions()
    chosen = "bfloat16" if trial.bfloat16_wins else "float32"
    ratio = trial.float32 / trial.bfloat16
    return f"precision auto on processors: {chosen} (products in bfloat16 are {ratio:.2g} times as fast as in float32)"


def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    began = time.perf_counter()
    F.linear(x, weight)
    return time.perf_counter() - began
