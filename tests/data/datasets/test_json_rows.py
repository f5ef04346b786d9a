from __future__ import annotations

import os
import pickle

import pytest

from uniperceiver.data.datasets.json_rows import JsonRows


def test_rows_come_back_as_they_were() -> None:
    of_latin = os.fsdecode(b"caf\xe9.png")  # a file's name need not be UTF-8
    rows = [{"id": "é", "box": [0.1, 1e-17, 3]}, ["a", 2], "text\n", 7, None, of_latin]
    packed = JsonRows(iter(rows))
    assert [packed[i] for i in range(len(packed))] == rows
    assert list(pickle.loads(pickle.dumps(packed))) == rows


@pytest.mark.parametrize("index", [-1, 2])
def test_outside_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        JsonRows(["a", "b"])[index]


def test_no_rows() -> None:
    assert len(JsonRows([])) == 0
