"""Whether an exported file says what PyTorch says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from uniperceiver.export.onnx_files import Exported

TOLERANCE = 1e-3
"""Largest difference that counts as rounding: of unit vectors, probabilities, and boxes relative to the picture."""
BATCHES = (1, 2, 3)


@dataclass(frozen=True)
class Comparison:
    """The largest absolute difference of each output over all batches."""

    differences: dict[str, float]
    """Of mask logits: the share of pixels inside other masks."""
    pictures: int

    @property
    def is_equal(self) -> bool:
        """Whether all are rounding."""
        return all(value <= TOLERANCE for value in self.differences.values())

    def lines(self) -> list[str]:
        """For people."""
        verdict = "equal" if self.is_equal else f"DIFFERENT (above {TOLERANCE:g})"
        found = ", ".join(f"{name} {value:.1e}" for name, value in self.differences.items())
        return [f"{verdict}: largest differences to PyTorch over {self.pictures} inputs: {found}"]


def verify(exported: Exported) -> Comparison:
    """Run the file in onnxruntime and the part in PyTorch on random inputs in batches of one, two and three."""
    session = onnxruntime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    differences = dict.fromkeys(exported.usage.outputs, 0.0)
    for batch in BATCHES:
        inputs = _inputs(exported, batch, generator)
        fed = {name: tensor.numpy() for name, tensor in zip(exported.usage.inputs, inputs, strict=True)}
        theirs = [np.asarray(output) for output in session.run(list(exported.usage.outputs), fed)]
        with torch.inference_mode():
            given = exported.part(*inputs)
        ours = [output.numpy() for output in (given if isinstance(given, tuple) else (given,))]
        for name, difference in zip(exported.usage.outputs, _differences(ours, theirs), strict=True):
            differences[name] = max(differences[name], difference)
    return Comparison(differences, sum(BATCHES))


def _inputs(exported: Exported, batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Blurred noise as pictures; any tokens as texts of different lengths."""
    example = exported.examples[0]
    if exported.usage.verb != "embed_text":
        _, channels, height, width = example.shape
        coarse = torch.randn(batch, channels, height // 16, width // 16, generator=generator)
        return (torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear"),)
    length = min(3 + 2 * batch, exported.usage.max_tokens or 1)
    ids = torch.randint(int(example.max()) + 1, (batch, length), generator=generator)
    is_padding = torch.zeros_like(ids, dtype=torch.bool)
    is_padding[0, length // 2 :] = True
    return ids, is_padding


def _differences(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> list[float]:
    if len(ours) == 1:
        return [float(np.abs(ours[0] - theirs[0]).max())]
    return _differences_of_regions(ours, theirs)


def _differences_of_regions(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> list[float]:
    """Of boxes, scores and masks, region by region: those with nearly the same objectness may change places."""
    worst = np.zeros(3)
    for boxes, scores, masks, boxes_b, scores_b, masks_b in zip(*ours, *theirs, strict=True):
        far = np.abs(boxes[:, None] - boxes_b).max(axis=2) + np.abs(scores[:, None] - scores_b).max(axis=2)
        partner = far.argmin(axis=1)
        is_other = (masks > 0) != (masks_b[partner] > 0)
        worst = np.maximum(
            worst,
            (np.abs(boxes - boxes_b[partner]).max(), np.abs(scores - scores_b[partner]).max(), is_other.mean()),
        )
    return worst.tolist()
