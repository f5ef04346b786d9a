"""How exactly a model computes while it is only asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]
"""Of matrix products and convolutions. Boxes, objectness, gates, cosines and their softmax are float32 in either."""


@contextmanager
def inference(device: torch.device, precision: Precision) -> Iterator[None]:
    """Without gradients, and in ``bfloat16`` under autocast; ``float32`` leaves the caller's autocast as it is."""
    reduced = torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
    with torch.inference_mode(), reduced:
        yield
