"""FAISS over an index: exact where it looks everywhere, grows with the index, leaves out what is gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from uniperceiver import Predictor
from uniperceiver.retrieval_index import RetrievalIndex
from uniperceiver.retrieval_index.segments import Entry, Segment, write_segment

pytest.importorskip("faiss")
from uniperceiver.retrieval_index.approximate import ApproximateSearch


def unit(rows: int, seed: int) -> np.ndarray:
    """Vectors around a few directions, as those of similar pictures are."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((12, 40))
    vectors = centres[random.integers(0, 12, rows)] + 0.3 * random.standard_normal((rows, 40))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def grow(index: RetrievalIndex, rows: int, gone: Path) -> None:
    number = len(index.segments)
    path = index.folder / "segments" / f"{number:06d}.safetensors"
    entries = [Entry(str(gone / f"{number}-{row}.png"), 1, 1, "") for row in range(rows)]
    write_segment(path, unit(rows, number), entries)
    index.segments.append(Segment(path))


def test_nearly_everything_is_found_and_the_file_grows(predictor: Predictor, tmp_path: Path) -> None:
    index = RetrievalIndex.open_or_create(tmp_path / "index", predictor, "tiny")
    grow(index, 900, tmp_path / "a")
    files = lambda: sorted(file.name for file in index.folder.glob("approximate-*"))  # noqa: E731
    for segments in (1, 2, 3):
        search = ApproximateSearch(index)
        assert files() == [f"approximate-{segments:06d}.faiss"]
        found = expected = 0
        for query in unit(20, 1000):
            exact = {hit.path: hit.similarity for hit in index.search(query, 10)}
            near = search.search(query, 10)
            assert len(near) == 10
            assert all(exact.get(hit.path, hit.similarity) == pytest.approx(hit.similarity, abs=1e-5) for hit in near)
            found += len(exact.keys() & {hit.path for hit in near})
            expected += 10
        assert found / expected > 0.8
        grow(index, 300, tmp_path / "b")
        index = RetrievalIndex.open(index.folder)
    index.update(predictor, [], [tmp_path / "a"])  # these files never were
    hits = ApproximateSearch(index).search(unit(1, 1000)[0], 10)
    assert len(hits) == 10
    assert all(Path(hit.path).parent.name == "b" for hit in hits)


def test_a_file_that_is_broken_or_of_other_segments_is_made_anew(predictor: Predictor, tmp_path: Path) -> None:
    index = RetrievalIndex.open_or_create(tmp_path / "index", predictor, "tiny")
    grow(index, 100, tmp_path)
    grow(index, 100, tmp_path)
    ApproximateSearch(index)
    (file,) = index.folder.glob("approximate-*")
    for content in (b"", b"junk", file.read_bytes()[:100]):
        file.write_bytes(content)
        assert len(ApproximateSearch(index).search(unit(1, 5)[0], 10)) == 10
    index.segments[0].path.unlink()  # what the message about a broken segment says
    index = RetrievalIndex.open(index.folder)
    path = index.folder / "segments" / "000002.safetensors"
    write_segment(path, unit(100, 7), [Entry(f"fresh{row}", 1, 1, "") for row in range(100)])
    index = RetrievalIndex.open(index.folder)
    query = unit(100, 7)[3]
    assert ApproximateSearch(index).search(query, 1)[0].path == index.search(query, 1)[0].path == "fresh3"
