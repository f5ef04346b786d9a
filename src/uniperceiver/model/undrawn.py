"""A model whose weights are about to be read, built without drawing random ones first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from uniperceiver.config import ModelConfig
from uniperceiver.model.uni_perceiver import UniPerceiver

_DRAWS = (Tensor.uniform_, Tensor.normal_, init.uniform_, init.normal_, init.kaiming_uniform_)
"""Those of `torch.nn.init` that are asked themselves; the others come down to the tensor's own."""


class _WithoutDraws(TorchFunctionMode):
    """Tensors stay as they are where they would be filled with random numbers."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def undrawn_model(config: ModelConfig) -> UniPerceiver:
    """A model to load weights into: its own are whatever the memory held; buffers and constants are set.

    Drawing them takes longer than reading them, and would use up random numbers of the caller.
    """
    with _WithoutDraws():
        return UniPerceiver(config)
