"""A batch written aside, so that what broke a training can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.tensor_files import save_tensors

TENSORS, TEXT = "batch.safetensors", "about.yaml"


def write_batch(folder: Path, batch: Any, about: Mapping[str, Any]) -> Path:
    """Write a task's batch into ``folder``: its tensors, and as text everything else and what ``about`` says of it.

    Tensors are named by their place in the batch, e.g. ``images.pixels`` or ``targets.0.boxes``.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    _take_apart(batch, "", tensors, plain)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, folder / TENSORS)
    content = {**about, "batch": type(batch).__name__, "without_tensors": plain}
    (folder / TEXT).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder


def read_batch(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a batch that `write_batch` wrote, by name, and what its text says."""
    return load_file(folder / TENSORS), yaml.safe_load((folder / TEXT).read_text(encoding="utf-8"))


def _take_apart(value: Any, name: str, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    """Sort what a batch holds, however deep, into tensors and the rest."""
    if isinstance(value, Tensor):
        tensors[name or "batch"] = value
    elif is_dataclass(value):
        for field in fields(value):
            _take_apart(getattr(value, field.name), _joined(name, field.name), tensors, plain)
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            _take_apart(item, _joined(name, str(index)), tensors, plain)
    else:
        plain[name] = value if isinstance(value, str | int | float | bool | None) else repr(value)


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part
