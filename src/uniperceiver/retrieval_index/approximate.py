"""Faster search of large indexes with FAISS, which looks only where similar vectors lie."""

from __future__ import annotations

from contextlib import suppress
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from uniperceiver.atomic_files import write_whole
from uniperceiver.retrieval_index.index import Hit, RetrievalIndex
from uniperceiver.retrieval_index.segments import RetrievalIndexError

ROWS_PER_CELL = 39
"""Vectors that FAISS wants for each cell it divides the space into."""
PROBED = 1 / 8
"""Share of the cells that a search looks into."""
GROWTH = 4
"""The cells are found anew when there are this many times more vectors than they were found with."""


class ApproximateSearch:
    """Cells of similar vectors over an index (FAISS IVF, inner product), kept in its folder.

    New segments are added to the cells there are. It may miss pictures that `RetrievalIndex.search` finds; the
    similarities of those found are exact.
    """

    def __init__(self, index: RetrievalIndex) -> None:
        """Bring the file of the index up to date; ImportError without the package FAISS."""
        try:
            import faiss
        except ImportError as error:
            raise ImportError("approximate search needs FAISS: pip install 'uniperceiver[index]'") from error
        self._faiss = faiss
        self.index = index
        self._sizes = [len(segment.entries) for segment in index.segments]
        if not sum(self._sizes):
            raise RetrievalIndexError(f"{index.folder} is empty: add pictures with `index add`")
        self._cells = self._up_to_date()

    def search(self, query: np.ndarray, top: int = 10) -> list[Hit]:
        """About the ``top`` pictures with the largest cosines to ``query`` (D,), best first."""
        alive = np.concatenate(self.index.alive())
        self._cells.nprobe = max(1, round(PROBED * self._cells.nlist))
        asked = min(len(alive), top + int((~alive).sum()))  # so that enough are left when the dead are out
        similarities, rows = self._cells.search(query[None].astype(np.float32), asked)
        ends = np.cumsum(self._sizes)
        hits = []
        for similarity, row in zip(similarities[0].tolist(), rows[0].tolist(), strict=True):
            if row >= 0 and alive[row]:
                number = int(np.searchsorted(ends, row, side="right"))
                entry = self.index.segments[number].entries[row - int(ends[number]) + self._sizes[number]]
                hits.append(Hit(entry.path, similarity))
        return hits[:top]

    def _up_to_date(self) -> Any:
        covered, cells = self._stored()
        if cells is None or sum(self._sizes) > GROWTH * cells.ntotal:
            covered, cells = 0, self._trained()
        if covered < len(self._sizes):
            for segment in self.index.segments[covered:]:
                cells.add(np.ascontiguousarray(segment.vectors()))
            fresh = self.index.folder / f"approximate-{len(self._sizes):06d}.faiss"
            write_whole(fresh, self._faiss.serialize_index(cells).tobytes())
            for old in self._files():
                if old != fresh:
                    old.unlink()
        return cells

    def _stored(self) -> tuple[int, Any]:
        """How many segments the file covers, and what it holds; (0, None) without a file that fits.

        A broken file does not, nor one older than a segment that it should cover: another was deleted before that.
        """
        for file in self._files()[-1:]:
            covered = int(file.stem.rpartition("-")[2])
            newest = max(segment.path.stat().st_mtime_ns for segment in self.index.segments[:covered])
            if covered > len(self._sizes) or newest > file.stat().st_mtime_ns:
                continue
            with suppress(RuntimeError):  # FAISS' word for broken
                return covered, self._faiss.deserialize_index(np.frombuffer(file.read_bytes(), dtype=np.uint8))
        return 0, None

    def _trained(self) -> Any:
        rows = sum(self._sizes)
        width = self.index.width
        number = max(1, min(int(4 * sqrt(rows)), rows // ROWS_PER_CELL))
        cells = self._faiss.IndexIVFFlat(
            self._faiss.IndexFlatIP(width), width, number, self._faiss.METRIC_INNER_PRODUCT
        )
        cells.train(np.concatenate([segment.vectors() for segment in self.index.segments]))
        return cells

    def _files(self) -> list[Path]:
        return sorted(self.index.folder.glob("approximate-*.faiss"))
