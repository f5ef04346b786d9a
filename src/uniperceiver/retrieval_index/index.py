"""Building, updating and searching an index of pictures, and of videos where the model takes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from uniperceiver.atomic_files import write_whole
from uniperceiver.data.images import PICTURE_SUFFIXES, ImageError, is_video
from uniperceiver.picture_sources import Failure, is_file_or_gone
from uniperceiver.predictor import Predictor
from uniperceiver.predictor.pictures import to_pixels
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.retrieval_index.segments import Entry, RetrievalIndexError, Segment, write_segment

FORMAT = 1
SEGMENT = 256
"""Pictures of a segment: what is lost at most when building is stopped."""


@dataclass(frozen=True)
class Hit:
    """A picture that was found."""

    path: str
    similarity: float
    """Cosine with the query, in [-1, 1]."""


@dataclass(frozen=True)
class Changes:
    """What an update did."""

    added: int
    """Pictures that are new or have changed."""
    unchanged: int
    removed: int
    """Pictures whose files are gone."""
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Fresh:
    """A picture to be embedded."""

    entry: Entry
    pixels: Tensor
    """As `Predictor.embed_image` takes it."""


class _GrowingSegment:
    """Pictures embedded as they come, so that few are in memory at once."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.entries: list[Entry] = []
        self._waiting: list[Tensor] = []
        self._vectors: list[np.ndarray] = []

    def add(self, fresh: _Fresh) -> None:
        self.entries.append(fresh.entry)
        self._waiting.append(fresh.pixels)
        if len(self._waiting) == self.predictor.batch_size:
            self._embed()

    def vectors(self) -> np.ndarray:
        """(n, D) of all entries."""
        self._embed()
        return np.concatenate(self._vectors)

    def _embed(self) -> None:
        self._vectors.append(self.predictor.embed_image(self._waiting))
        self._waiting = []


class RetrievalIndex:
    """An index folder. Open one with `open`, or `open_or_create`."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder = folder
        self.fingerprint: str = about["fingerprint"]
        self.model: str = about["model"]
        """The model's name as it was given when the index was made."""
        self.width: int = about["width"]
        self.segments = [Segment(path) for path in sorted((folder / "segments").glob("*.safetensors"))]
        self._alive: list[np.ndarray] | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """An index that is there; RetrievalIndexError if it is none, or of another version."""
        path = Path(folder) / "index.json"
        if not path.is_file():
            raise RetrievalIndexError(f"{folder} is not an index: it has no index.json; `index build` makes one")
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise RetrievalIndexError(f"{folder} has format {about['format']}, this version reads {FORMAT}")
            if not (isinstance(about["fingerprint"], str) and isinstance(about["model"], str)):
                raise TypeError("fingerprint and model are texts")
            return cls(Path(folder), about)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, RetrievalIndexError):
                raise
            raise RetrievalIndexError(f"{path} is broken ({error!r}): build the index anew") from error

    @classmethod
    def open_or_create(cls, folder: str | Path, predictor: Predictor, model: str) -> Self:
        """The index in a folder, made if the folder is new or empty; ``model`` is what to call the predictor's model.

        Raises:
            RetrievalIndexError: the folder holds something else, or an index made by another model.
        """
        folder = Path(folder)
        if not (folder / "index.json").exists():
            if folder.exists() and any(not file.name.startswith(".") for file in folder.iterdir()):
                raise RetrievalIndexError(f"{folder} is not empty and not an index: give a new folder")
            width = predictor.model.config.decoder.width
            about = {"format": FORMAT, "fingerprint": predictor.fingerprint, "model": model, "width": width}
            write_whole(folder / "index.json", json.dumps(about, indent=1).encode())
        index = cls.open(folder)
        index.check(predictor)
        return index

    def check(self, predictor: Predictor) -> None:
        """RetrievalIndexError unless the index was made by this model: vectors of different models do not compare."""
        if predictor.fingerprint != self.fingerprint:
            raise RetrievalIndexError(
                f"{self.folder} was made by another model ({self.model}, fingerprint {self.fingerprint[:8]}) than this "
                f"one ({predictor.fingerprint[:8]}): give that model, or build a new index with this one"
            )

    def entries(self) -> dict[str, Entry]:
        """What is in the index, by path."""
        return {path: self.segments[s].entries[row] for path, (s, row) in self._places().items()}

    def update(
        self,
        predictor: Predictor,
        paths: Iterable[Path],
        missing_below: Sequence[Path] = (),
        segment: int = SEGMENT,
        progress: Callable[[], object] = lambda: None,
    ) -> Changes:
        """Add pictures that are new or whose content has changed; forget those gone from the folders ``missing_below``.

        Every ``segment`` pictures are on disk as soon as they are embedded. A picture that cannot be read is a failure.
        ``progress`` is called after each picture. RetrievalIndexError if the index was made by another model.
        """
        self.check(predictor)
        known = self.entries()
        failures: list[Failure] = []
        added = unchanged = 0
        growing = _GrowingSegment(predictor)
        read_video = predictor.video_reader("retrieval")
        for path in paths:
            found = _look_at(path.absolute(), known, read_video)
            if isinstance(found, Failure):
                failures.append(found)
            elif found is None:
                unchanged += 1
            else:
                growing.add(found)
                added += 1
            if len(growing.entries) == segment:
                self._append(growing)
                growing = _GrowingSegment(predictor)
            progress()
        self._append(growing)
        removed = self._forget_missing(missing_below)
        self._alive = None
        return Changes(added, unchanged, removed, tuple(failures))

    def search(self, query: np.ndarray, top: int = 10) -> list[Hit]:
        """The ``top`` of all pictures with the largest cosines to ``query`` (D,) of unit length, best first.

        RetrievalIndexError if the index is empty, ValueError for a query of another width.
        """
        if query.shape != (self.width,):
            raise ValueError(f"a query of this index has shape ({self.width},), got {query.shape}")
        if top < 1:
            raise ValueError(f"top is at least 1, got {top}")
        alive = self.alive()
        best: list[tuple[float, int, int]] = []
        for number, segment in enumerate(self.segments):
            similarities = np.where(alive[number], segment.vectors() @ query.astype(np.float32), -np.inf)
            few = np.argsort(-similarities, kind="stable")[:top]
            best += [(-float(similarities[row]), number, int(row)) for row in few if alive[number][row]]
            best = sorted(best)[:top]
        if not best:
            raise RetrievalIndexError(f"{self.folder} is empty: add pictures with `index add`")
        return [Hit(self.segments[number].entries[row].path, -score) for score, number, row in best]

    def alive(self) -> list[np.ndarray]:
        """Of each segment (n,) bool: rows that count, being neither replaced nor removed."""
        if self._alive is None:
            self._alive = [np.zeros(len(segment.entries), dtype=bool) for segment in self.segments]
            for number, row in self._places().values():
                self._alive[number][row] = True
        return self._alive

    def _places(self) -> dict[str, tuple[int, int]]:
        """Path → (segment, row) of everything that counts."""
        removed = self._removed()
        places: dict[str, tuple[int, int]] = {}
        for number, segment in enumerate(self.segments):
            places.update({entry.path: (number, row) for row, entry in enumerate(segment.entries)})
        return {path: place for path, place in places.items() if place[0] >= removed.get(path, 0)}

    def _removed(self) -> dict[str, int]:
        path = self.folder / "removed.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
        except (ValueError, TypeError) as error:
            raise RetrievalIndexError(f"{path} is broken ({error}): delete it and build again") from error

    def _append(self, growing: _GrowingSegment) -> None:
        if growing.entries:
            last = int(self.segments[-1].path.stem) if self.segments else -1
            path = self.folder / "segments" / f"{last + 1:06d}.safetensors"
            write_segment(path, growing.vectors(), growing.entries)
            self.segments.append(Segment(path))

    def _forget_missing(self, folders: Sequence[Path]) -> int:
        roots = [folder.absolute() for folder in folders]
        gone = [
            path
            for path in self._places()
            if any(Path(path).is_relative_to(root) for root in roots) and not Path(path).exists()
        ]
        if gone:
            removed = self._removed() | dict.fromkeys(gone, len(self.segments))
            write_whole(self.folder / "removed.json", json.dumps(removed, indent=1).encode())
        return len(gone)


def pictures_below(folder: str | Path, with_videos: bool = False) -> Iterator[Path]:
    """The pictures, and videos if wanted, in a folder and all below it, sorted by path; without hidden ones."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            is_wanted = Path(name).suffix.lower() in PICTURE_SUFFIXES or (with_videos and is_video(name))
            if is_wanted and not name.startswith(".") and is_file_or_gone(Path(parent) / name):
                yield Path(parent) / name


def _look_at(path: Path, known: dict[str, Entry], read_video: VideoReader | None) -> _Fresh | Failure | None:
    """A picture if it is not known yet, or not with this content; None if it is."""
    try:
        stat = path.stat()
        old = known.get(str(path))
        if old is not None and (old.size, old.modified) == (stat.st_size, stat.st_mtime_ns):
            return None
        with path.open("rb") as file:  # not read at once: a video may not fit into memory
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if old is not None and old.digest == digest:
            return None
        pixels = to_pixels(path, read_video)
    except (ImageError, OSError) as error:
        return Failure(str(path), str(error))
    return _Fresh(Entry(str(path), stat.st_size, stat.st_mtime_ns, digest), pixels)
