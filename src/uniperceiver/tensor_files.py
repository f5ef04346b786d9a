"""Files of tensors that whoever may read their folder may read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors of any layout as safetensors, with the permissions of any new file.

    Since version 0.8 the library makes files that only their owner may read: a server under another name, or a
    colleague, could not load such a checkpoint.
    """
    path.touch()
    permissions = path.stat().st_mode
    laid_out = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(laid_out, path, None if metadata is None else dict(metadata))
    path.chmod(permissions)
