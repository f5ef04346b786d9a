from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from uniperceiver.retrieval_index.segments import Entry, Segment, write_segment


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
