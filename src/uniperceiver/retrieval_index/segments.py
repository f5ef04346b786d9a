"""Segments: files of vectors and of what they are vectors of, written once and mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

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


@dataclass(frozen=True)
class _About:
    """What a file says of itself."""

    entries: list[Entry]
    start: int
    """Of the vectors, in bytes."""
    shape: tuple[int, int]


class Segment:
    """A file of vectors that is there, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def entries(self) -> list[Entry]:
        """What the rows are of."""
        return self._about.entries

    def vectors(self) -> np.ndarray:
        """(n, D) float32, mapped: only what is used is read. Mapped anew each time, as files held open are limited."""
        return np.memmap(self.path, dtype="<f4", mode="r", offset=self._about.start, shape=self._about.shape)

    @cached_property
    def _about(self) -> _About:
        try:
            with self.path.open("rb") as file:
                size = self.path.stat().st_size
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(length, size)))
            entries = [Entry(**entry) for entry in json.loads(header["__metadata__"]["entries"])]
            rows, width = header["vectors"]["shape"]
            start, end = header["vectors"]["data_offsets"]
            is_whole = 8 + length + end == size and end - start == 4 * rows * width and rows == len(entries)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise RetrievalIndexError(f"{self.path} is broken ({error}): delete it and build again") from error
        if not is_whole:
            raise RetrievalIndexError(f"{self.path} is cut off: delete it and build again")
        return _About(entries, 8 + length + start, (rows, width))


def write_segment(path: Path, vectors: np.ndarray, entries: Sequence[Entry]) -> None:
    """Write vectors (n, D) of n entries, whole or not at all."""
    metadata = {"entries": json.dumps([asdict(entry) for entry in entries])}
    write_whole(path, save({"vectors": np.ascontiguousarray(vectors, dtype=np.float32)}, metadata))
