"""The optional C kernel of deformable attention, as a PyTorch operator with gradients.

The kernel (``deformable_attention_kernel.c``) is built when the package is installed where there is a C compiler, and
loaded with ctypes: it needs no headers of Python or PyTorch, and fits every version of both.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

INT32_MAX = 2**31 - 1  # the kernel counts floats within one picture's maps in 32 bits


class Kernel:
    """The functions of the loaded library.

    Args:
        path: the shared library.
        lanes: floats in a vector: 4, 8 or 16; None: the most that the processor has.
    """

    def __init__(self, path: str, lanes: int | None = None) -> None:
        library = ctypes.CDLL(path)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._forward = library.deformable_attention_forward
        self._forward.argtypes = [pointer] * 6 + [number] * 2
        self._backward = library.deformable_attention_backward
        self._backward.argtypes = [pointer] * 9 + [number] * 2
        self.lanes: int = library.deformable_attention_lanes() if lanes is None else lanes

    def forward(self, value: Tensor, shapes: list[int], locations: Tensor, weights: Tensor) -> Tensor:
        """Sample; the arguments and the result of ``sample_levels``, contiguous float32, shapes flat."""
        batch, _, heads, width = value.shape
        out = value.new_empty(batch, locations.shape[1], heads * width)
        if out.numel() > 0:
            arrays = (value, locations, weights, out)
            self._call(self._forward, value, shapes, locations, arrays)
        return out

    def backward(
        self, grad_out: Tensor, value: Tensor, shapes: list[int], locations: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of ``value``, ``locations`` and ``weights``; all arguments contiguous float32."""
        grads = torch.zeros_like(value), torch.empty_like(locations), torch.empty_like(weights)
        if grad_out.numel() > 0:
            self._call(self._backward, value, shapes, locations, (value, locations, weights, grad_out, *grads))
        return grads

    def _call(
        self,
        function: Callable[..., int],
        value: Tensor,
        shapes: list[int],
        locations: Tensor,
        arrays: tuple[Tensor, ...],
    ) -> None:
        """Pass (B, S, heads, d, Q, levels, points), the shapes and the arrays to a function of the library."""
        sizes = (ctypes.c_int64 * 7)(*value.shape, locations.shape[1], locations.shape[3], locations.shape[4])
        levels = (ctypes.c_int64 * len(shapes))(*shapes)
        failed = function(sizes, levels, *(array.data_ptr() for array in arrays), self.lanes, torch.get_num_threads())
        if failed:
            raise MemoryError(f"deformable attention over {value.shape[1]} tokens: no memory left for the kernel")


@functools.cache
def load_kernel() -> Kernel | None:
    """The kernel, or None where the package was installed without it."""
    spec = importlib.util.find_spec("uniperceiver.model.layers._deformable_attention_kernel")
    if spec is None or spec.origin is None:
        return None
    return Kernel(spec.origin)


@torch.compiler.assume_constant_result
def has_kernel() -> bool:
    """Whether the kernel was built."""
    return load_kernel() is not None


def can_sample(value: Tensor) -> bool:
    """Whether the kernel is there and made for these maps (B, S, heads, d): of a CPU, not double, not huge."""
    return (
        value.device.type == "cpu"
        and value.dtype in (torch.float32, torch.bfloat16)
        and value.shape[1:].numel() <= INT32_MAX
        and has_kernel()
    )


def describe_kernel() -> str:
    """Which way deformable attention is computed on this machine's processor, one line."""
    kernel = load_kernel()
    if kernel is None:
        return "deformable attention on processors: plain PyTorch (reinstall with a C compiler for the kernel)"
    return f"deformable attention on processors: C kernel, vectors of {kernel.lanes} floats"


def loaded_kernel() -> Kernel:
    """The kernel, where ``can_sample`` has found it."""
    kernel = load_kernel()
    if kernel is None:
        raise RuntimeError("the deformable attention kernel was not built: reinstall uniperceiver with a C compiler")
    return kernel


@torch.library.custom_op("uniperceiver::sample_levels", mutates_args=(), device_types="cpu")
def sample_levels_with_kernel(value: Tensor, shapes: list[int], locations: Tensor, weights: Tensor) -> Tensor:
    """``sample_levels`` by the kernel: float32, shapes flat (h, w, h, w, ...)."""
    return loaded_kernel().forward(value.contiguous(), shapes, locations.contiguous(), weights.contiguous())


@torch.library.custom_op("uniperceiver::sample_levels_backward", mutates_args=(), device_types="cpu")
def sample_levels_backward(
    grad_out: Tensor, value: Tensor, shapes: list[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``value``, ``locations``, ``weights``."""
    grad_out, value, locations, weights = (x.contiguous() for x in (grad_out, value, locations, weights))
    return loaded_kernel().backward(grad_out, value, shapes, locations, weights)


@sample_levels_with_kernel.register_fake
def _(value: Tensor, shapes: list[int], locations: Tensor, weights: Tensor) -> Tensor:
    return value.new_empty(value.shape[0], locations.shape[1], value.shape[2] * value.shape[3])


@sample_levels_backward.register_fake
def _(
    grad_out: Tensor, value: Tensor, shapes: list[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return value.new_empty(value.shape), locations.new_empty(locations.shape), weights.new_empty(weights.shape)


def _keep(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, list[int], Tensor, Tensor], output: Tensor
) -> None:
    value, shapes, locations, weights = inputs
    ctx.save_for_backward(value, locations, weights)
    ctx.shapes = shapes  # type: ignore[attr-defined]


def _differentiate(ctx: torch.autograd.function.FunctionCtx, grad_out: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
    value, locations, weights = ctx.saved_tensors  # type: ignore[attr-defined]
    shapes = ctx.shapes  # type: ignore[attr-defined]
    grad_value, grad_locations, grad_weights = sample_levels_backward(grad_out, value, shapes, locations, weights)
    return grad_value, None, grad_locations, grad_weights


sample_levels_with_kernel.register_autograd(_differentiate, setup_context=_keep)
