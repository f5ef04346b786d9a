"""Segments: files of vectors and of what they are vectors of, written once and mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from uniperceiver.atomic_files import write_whole


class RetrievalIndexError(ValueError):
    """An index that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """One picture of an index."""

    path: str
    """Absolute."""
    size: int
    """Of the file, in bytes."""
    modified: int
    """Nanoseconds, as the file system says; with ``size`` it tells cheaply that a file is unchanged."""
    digest: str
    """BLAKE2b of the file, 32 hexadecimal digits."""


class Segment:
    """A file of vectors that is there, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def entries(self) -> list[Entry]:
        """What the rows are of."""
        return [Entry(**entry) for entry in json.loads(self._header["__metadata__"]["entries"])]

    def vectors(self) -> np.ndarray:
        """(n, D) float32, mapped: only what is used is read. Mapped anew each time, as files held open are limited."""
        header = self._header["vectors"]
        start = 8 + self._header_bytes + header["data_offsets"][0]
        return np.memmap(self.path, dtype="<f4", mode="r", offset=start, shape=tuple(header["shape"]))

    @cached_property
    def _header_bytes(self) -> int:
        with self.path.open("rb") as file:
            return int.from_bytes(file.read(8), "little")

    @cached_property
    def _header(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                file.seek(8)
                header = json.loads(file.read(self._header_bytes))
            complete = 8 + self._header_bytes + header["vectors"]["data_offsets"][1] == self.path.stat().st_size
        except (OSError, ValueError, KeyError) as error:
            raise RetrievalIndexError(f"{self.path} is broken ({error}): delete it and build again") from error
        if not complete:
            raise RetrievalIndexError(f"{self.path} is cut off: delete it and build again")
        return dict(header)


def write_segment(path: Path, vectors: np.ndarray, entries: Sequence[Entry]) -> None:
    """Write vectors (n, D) of n entries, whole or not at all."""
    metadata = {"entries": json.dumps([asdict(entry) for entry in entries])}
    write_whole(path, save({"vectors": np.ascontiguousarray(vectors, dtype=np.float32)}, metadata))
