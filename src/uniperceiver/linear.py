"""Linear maps in float32 on processors: oneDNN's product where it is measured to be faster than PyTorch's own.

PyTorch hands float32 products to MKL, which on some processors reaches two fifths of what they can do, and on others is
slow where rows are few. Which is faster is measured once per process for either, not guessed from a name, and only a
product that is as exact counts. Without gradients alone: training, GPUs, bfloat16 and exported graphs take PyTorch's
way.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.utils.weak import WeakIdKeyDictionary

LARGEST_ERROR = 1e-5
"""Difference, relative to the largest number of a result, from which on oneDNN is not used."""
WORTHWHILE = 1.05
"""Times as fast as the default from which on oneDNN is used."""
LEAST_WORK = 2**24
"""Multiply-adds of a product from which on oneDNN is asked: below, a call costs more than it saves."""
MANY_ROWS, FEW_ROWS, TWO_ROWS = 512, 8, 2
"""Rows of the products that are measured. Two, a word and the slot after it, are as quick as one on some processors on
which eight are not."""
MOST_ROWS, LEAST_WEIGHTS = 64, 2**18
"""Few rows against a large matrix, as in decoding word by word: reordering the matrix costs more than the product."""


class Trial(NamedTuple):
    """What `compare_products` measured."""

    default: float
    """Seconds of PyTorch's own product."""
    onednn: float
    """Seconds of oneDNN's."""
    error: float
    """Largest difference relative to the largest number of the result."""

    @property
    def onednn_wins(self) -> bool:
        """Whether oneDNN's is faster and as exact."""
        return self.default > WORTHWHILE * self.onednn and self.error <= LARGEST_ERROR


class _Packed(NamedTuple):
    """A matrix in oneDNN's own order."""

    state: tuple[int, int]
    """Address and version of the plain matrix."""
    weight: Tensor | None
    """None: seen once. Only what comes back is worth the reordering and the memory."""


_PACKED = WeakIdKeyDictionary()
"""Matrices that few rows were multiplied with; each goes with its plain matrix."""


@functools.cache
def compare_products(rows: int) -> Trial | None:
    """Both ways on one product of ``rows`` vectors, in turns, best of five each; None where PyTorch has no oneDNN.

    Few rows meet a matrix in oneDNN's own order.
    """
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    generator = torch.Generator().manual_seed(0)
    outputs = 3072 if rows <= MOST_ROWS else 768
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        x, weight = (torch.randn(shape, generator=generator) for shape in ((rows, 768), (outputs, 768)))
        default: Callable[[], Tensor] = functools.partial(F.linear, x, weight)
        ordered = _reordered(weight) if rows <= MOST_ROWS else weight
        onednn: Callable[[], Tensor] = functools.partial(_onednn, x, ordered, None)
        expected = default()
        error = float((onednn() - expected).abs().max() / expected.abs().max())
        turns = [(_seconds(default), _seconds(onednn)) for _ in range(5)]
    return Trial(min(a for a, _ in turns), min(b for _, b in turns), error)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``: (..., in), (out, in), (out,) -> (..., out), like `torch.nn.functional.linear`.

    A large matrix that comes back with few rows is kept in oneDNN's order as well, as long as it lives unchanged.
    """
    if not _is_float32_inference(x, weight):
        return F.linear(x, weight, bias)
    rows = x.numel() // max(x.shape[-1], 1)
    if 1 < rows <= MOST_ROWS and weight.numel() >= LEAST_WEIGHTS:
        packed = _packed(weight) if _onednn_wins(TWO_ROWS if rows < 4 else FEW_ROWS) else None
        if packed is not None:
            return _onednn(x, packed, bias)
    is_large = rows * weight.numel() >= LEAST_WORK
    return _onednn(x, weight, bias) if is_large and _onednn_wins(MANY_ROWS) else F.linear(x, weight, bias)


class QuickLinear(nn.Linear):
    """`torch.nn.Linear` by `linear`."""

    @classmethod
    def taking_over(cls, module: nn.Linear) -> Self:
        """A layer with the very parameters of another."""
        own = cls.__new__(cls)
        nn.Module.__init__(own)
        own.in_features, own.out_features = module.in_features, module.out_features
        own.weight, own.bias = module.weight, module.bias
        return own.train(module.training)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return linear(x, self.weight, self.bias)


def use_quick_products(network: nn.Module) -> None:
    """Let every plain linear layer of ``network`` compute by `linear`, in place; names and parameters stay."""
    for name, module in list(network.named_modules()):
        if type(module) in (nn.Linear, NonDynamicallyQuantizableLinear):
            network.set_submodule(name, QuickLinear.taking_over(module))


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor, rows: int) -> Tensor:
    """``function`` of the vectors in x (..., in), where it treats each by itself; without gradients part by part.

    Buffers of ``rows`` vectors stay in the processor's cache; those of a whole map are fetched page by page from the
    system, which takes longer than the arithmetic.
    """
    if not _is_inference(x) or x.shape[:-1].numel() <= rows:
        return function(x)
    parts = x.reshape(-1, x.shape[-1]).split(rows)
    return torch.cat([function(part) for part in parts]).unflatten(0, x.shape[:-1])


def part_length(x: Tensor, length: int, most: int) -> int:
    """How many of ``length`` vectors to compute together: ``most`` in inference on a processor, otherwise all."""
    return min(length, most) if _is_inference(x) else length


def _is_inference(x: Tensor) -> bool:
    """On a processor, now: the numbers of vectors in an exported graph are not known yet."""
    return not torch.is_grad_enabled() and x.device.type == "cpu" and not _is_traced()


def describe_products() -> str:
    """Which way float32 products are computed on this machine's processor, one line."""
    many, few, two = (compare_products(rows) for rows in (MANY_ROWS, FEW_ROWS, TWO_ROWS))
    if many is None or few is None or two is None:
        return "float32 products on processors: PyTorch's default (this PyTorch has no oneDNN)"
    return (
        f"float32 products on processors: {_described(many)}; of few rows {_described(few)}; of two {_described(two)}"
    )


def _is_float32_inference(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and type(x) is Tensor  # tensors without numbers have no oneDNN
        and not _is_traced()
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.ndim > 1
        and x.shape[-1] == weight.shape[1]  # else PyTorch's own error is the clearer one
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
    )


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or torch.compiler.is_exporting() or torch.jit.is_tracing()


def _described(trial: Trial) -> str:
    chosen = "oneDNN" if trial.onednn_wins else "PyTorch's default"
    return f"{chosen} (oneDNN {trial.default / trial.onednn:.2f} times as fast, difference {trial.error:.0e})"


def _onednn_wins(rows: int) -> bool:
    trial = compare_products(rows)
    return trial is not None and trial.onednn_wins


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _reordered(weight: Tensor) -> Tensor:
    """A matrix in oneDNN's order."""
    ordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, MOST_ROWS)
    return ordered


def _packed(weight: Tensor) -> Tensor | None:
    """The matrix in oneDNN's order; None the first time it is asked for."""
    state = weight.data_ptr(), 0 if weight.is_inference() else weight._version
    kept = _PACKED.get(weight)
    if kept is None or kept.state != state:
        _PACKED[weight] = _Packed(state, None)
        return None
    if kept.weight is None:
        kept = _Packed(state, _reordered(weight.detach()))
        _PACKED[weight] = kept
    return kept.weight


def _seconds(run: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
