"""The files that Uni-Perceiver v1 was released in, read without executing code (spec/uni_perceiver_v1_moe.md, 9.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

Container = Literal["deepspeed", "training", "bare"]
"""``deepspeed``: tensors under "module"; ``training``: under "model", alone or with the optimiser; ``bare``: nothing
around them."""
_RAW_NAMES = (
    ("encoder.", "fused_encoder."),
    ("deepspeed_moe.gate", "gate"),
    ("deepspeed_moe.experts", "experts"),
    ("attention.self.qkv_proj", "self_attn.qkv_proj"),
    ("attention.output.dense", "self_attn.dense"),
    ("attention_output.residual_scale", "gamma_1"),
    ("ffn.dense.", "linear1."),
    ("ffn.dense2.", "linear2."),
    ("ffn_output.residual_scale", "gamma_2"),
    ("LayerNormModules.0.", "norm1."),
    ("LayerNormModules.1.", "norm2."),
    ("predictor.", "loss_prepare."),
)
"""Names of the earlier code base -> names of the current one with its own attention, in this order."""
_WRAPPER = "module."
"""What every name begins with in the state dict of a model that PyTorch's data parallelism wrapped."""
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files begin that PyTorch wrote before 1.6, or with ``_use_new_zipfile_serialization=False``."""


class ReleaseFileError(ValueError):
    """A file that is no Uni-Perceiver v1 checkpoint; the message says what it is instead."""


@dataclass(frozen=True)
class ReleaseFile:
    """The tensors of a release under the names of the official current code, float32."""

    tensors: Mapping[str, Tensor]
    names: Mapping[str, str]
    """Current name → name in the file, for every tensor."""
    container: Container
    is_raw: bool
    """Written by the earlier DeepSpeed code base, whose names differ."""
    dropped: tuple[str, ...]
    """Names in the file that repeat others (``visual_embed``)."""
    beside: tuple[str, ...]
    """What the file holds besides the tensors: optimiser, schedule, …"""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``.pth``, ``.pt`` or ``.safetensors`` file.

        Raises:
            FileNotFoundError: there is no such file.
            ReleaseFileError: it is something else, damaged, or in PyTorch's old format.
        """
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint file {path}")
        content: Any = _safetensors(path) if path.suffix == ".safetensors" else _unpickled(path)
        if not isinstance(content, Mapping):
            raise ReleaseFileError(f"{path} holds a {type(content).__name__}: expected a dictionary of tensors")
        return cls.from_content(content, str(path))

    @classmethod
    def from_content(cls, content: Mapping[str, Any], what: str = "the file") -> Self:
        """Find the tensors in what a file holds, and give them their current names."""
        container: Container = "deepspeed" if "module" in content else "training" if "model" in content else "bare"
        tensors = content["module" if container == "deepspeed" else "model"] if container != "bare" else content
        _check(tensors, "" if tensors is content else f" under '{'module' if 'module' in content else 'model'}'", what)
        plain = {name: name.removeprefix(_WRAPPER) for name in tensors}
        is_raw = any(name.startswith("encoder.") for name in plain.values())
        if not is_raw and not any(name.startswith("fused_encoder.") for name in plain.values()):
            raise ReleaseFileError(
                f"{what} is not of Uni-Perceiver v1: no name begins with fused_encoder. or encoder., "
                f"but with {', '.join(sorted({name.split('.')[0] for name in plain.values()})[:5])}"
            )
        dropped = tuple(name for name in tensors if plain[name].startswith("visual_embed"))
        names = {_current(plain[name], is_raw): name for name in tensors if name not in dropped}
        return cls(
            tensors={current: _plain(name, tensors[name]) for current, name in names.items()},
            names=names,
            container=container,
            is_raw=is_raw,
            dropped=dropped,
            beside=() if container == "bare" else tuple(str(name) for name in content if content[name] is not tensors),
        )


class _Opaque:
    """Stands for any object of a pickle that is not a tensor: it takes what it is given and does nothing."""

    def __new__(cls, *_: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ReleaseFileError(f"{path} is damaged or not in the format safetensors ({error}): replace it") from None


def _unpickled(path: Path) -> Any:
    """The content of a torch file, every object but tensors and plain data replaced by `_Opaque`."""
    with path.open("rb") as file:
        if file.read(len(_LEGACY)) == _LEGACY:
            raise ReleaseFileError(
                f"{path} is in PyTorch's format before version 1.6, which is no zip file. Write it anew in the "
                "environment of the official code, if you trust the file, since this runs what is in it: "
                f"torch.save(torch.load({path.name!r}, map_location='cpu'), {f'new_{path.name}'!r})"
            )
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_Opaque, name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError, OSError) as error:
        reason = str(error).split("\n")[0][:200]
        raise ReleaseFileError(
            f"{path} cannot be read without executing code from it ({reason}): replace it if it is damaged or none of "
            "PyTorch's files, or else save its tensors as safetensors"
        ) from error


def _check(tensors: Any, place: str, what: str) -> None:
    """ReleaseFileError for anything but tensors by name."""
    if not isinstance(tensors, Mapping) or not tensors:
        found = "nothing" if isinstance(tensors, Mapping) else f"a {type(tensors).__name__}"
        raise ReleaseFileError(f"{what} holds {found}{place}: expected tensors by name there")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ReleaseFileError(
                f"{what} holds {name!r}, a {type(value).__name__},{place or ' among others'}: expected tensors by name "
                "alone, or such under 'model' or 'module'; save the model's state dict alone"
            )


def _current(name: str, is_raw: bool) -> str:
    if is_raw:
        for theirs, current in _RAW_NAMES:
            name = name.replace(theirs, current)
    return name


def _plain(name: str, tensor: Tensor) -> Tensor:
    """Half precision widened; vectors written as (1, 1, D) or (1, D) as (D,)."""
    if not tensor.is_floating_point():
        raise ReleaseFileError(f"{name} has numbers of {tensor.dtype}: expected weights, which are floating-point")
    tensor = tensor.float()
    return tensor.flatten() if name.endswith(("residual_scale", "s_token_bias")) else tensor
