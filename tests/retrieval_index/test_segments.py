from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from uniperceiver.retrieval_index.segments import Entry, RetrievalIndexError, Segment, write_segment


def test_a_segment_is_a_safetensors_file_that_is_mapped(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    entries = [Entry(f"/pictures/ü {n}.png", n, 10**18 + n, "ab" * 16) for n in range(3)]
    write_segment(tmp_path / "segments" / "000000.safetensors", vectors, entries)
    segment = Segment(tmp_path / "segments" / "000000.safetensors")
    assert segment.entries == entries
    mapped = segment.vectors()
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, vectors)
    np.testing.assert_array_equal(load_file(segment.path)["vectors"], vectors)
    assert [path.name for path in segment.path.parent.iterdir()] == ["000000.safetensors"]


@pytest.mark.parametrize(
    "header",
    [[], {}, {"__metadata__": {"entries": "no"}}, {"__metadata__": {"entries": '[{"a": 1}]'}}],
)
@pytest.mark.parametrize("length", [None, 2**40, 2**64 - 1])
def test_broken_files_are_named(tmp_path: Path, header: object, length: int | None) -> None:
    content = json.dumps(header).encode()
    announced = len(content) if length is None else length
    (tmp_path / "0.safetensors").write_bytes(announced.to_bytes(8, "little") + content)
    with pytest.raises(RetrievalIndexError, match=r"0\.safetensors is broken .* delete it and build again"):
        Segment(tmp_path / "0.safetensors").vectors()
