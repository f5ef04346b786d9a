"""Representations of large candidate sets on disk, so that a second run need not encode its names or its vocabulary."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver

WORTH_KEEPING = 500
"""Candidates from which on a set is kept on disk: fewer are encoded in a moment."""
MOST_FILES = 64
"""Files kept; the one used longest ago goes first."""
_FORMAT = 1


class EncodingStore:
    """A folder with one file for each set of candidates that some weights have encoded in some way.

    A file is found by the texts' tokens, the attributes of the task, the precision, and a checksum of every weight of
    f_text and g; a changed weight therefore never finds what another has made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> EncodingStore:
        """In the folder UNIPERCEIVER_CACHE, or ``uniperceiver`` in the user's folder for caches."""
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(os.environ.get("UNIPERCEIVER_CACHE") or Path(caches) / "uniperceiver") / "encodings")

    def key(self, model: UniPerceiver, attributes: TaskAttributes, rows: Iterable[Sequence[int]]) -> str:
        """What a set is found by; ``rows`` are the tokens of its texts."""
        digest = hashlib.blake2b(digest_size=20)
        device = next(model.parameters()).device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        digest.update(repr((_FORMAT, model.config.text, model.config.decoder, attributes, precision)).encode())
        digest.update(repr([tuple(row) for row in rows]).encode())
        for part in (model.f_text, model.g):
            for name, tensor in part.state_dict().items():
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(checksums(tensor))
        return digest.hexdigest()

    def find(self, key: str) -> Tensor | None:
        """The representations (Y, D) kept under a key; None if there are none, or the file is damaged."""
        path = self._path(key)
        try:
            found = safetensors.torch.load_file(path)["encodings"]
            path.touch()  # used now: others go first
        except (OSError, SafetensorError, KeyError):
            return None
        return found

    def keep(self, key: str, encodings: Tensor) -> None:
        """Write representations; a folder that cannot be written is warned about, since the result is there anyway."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as fresh:
                file = Path(fresh) / "encodings"
                safetensors.torch.save_file({"encodings": encodings.cpu().contiguous()}, file)
                file.replace(self._path(key))  # whole or not at all, also beside another process
            files = sorted(self.folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
            for file in files[:-MOST_FILES]:
                file.unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            warnings.warn(
                f"encodings are not kept in {self.folder}, so the next run makes them again: {error}; "
                "set UNIPERCEIVER_CACHE to a folder that can be written",
                stacklevel=2,
            )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def checksums(tensor: Tensor) -> bytes:
    """Sums of the bit patterns of every row: as quick as memory is read, where a cryptographic hash takes seconds."""
    rows = tensor.detach().cpu().contiguous().reshape(tensor.shape[0] if tensor.ndim > 1 else 1, -1)
    size = rows.shape[1] * rows.element_size()
    words = rows.view(torch.int64 if size % 8 == 0 else torch.int32 if size % 4 == 0 else torch.uint8)
    return words.sum(dim=1, dtype=torch.int64).numpy().tobytes()
