from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import FoldConfig, PlainTextConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.plain_text import PlainText


def texts(dataset: PlainText) -> list[str]:
    records = [dataset[i].text for i in range(len(dataset))]
    assert list(dataset.texts()) == records
    return records


def test_lines_without_blank_ones(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufefffirst\n\n  \nzweite Zeile é\r\nlast".encode())
    dataset = PlainText(PlainTextConfig(str(tmp_path / "a.txt")))
    assert texts(dataset) == ["first", "zweite Zeile é", "last"]
    with pytest.raises(IndexError):
        dataset[3]


def test_lines_are_packed_until_there_are_enough_words(tmp_path: Path) -> None:
    """In the order of the file, after the last line from the first on, the line itself again if need be."""
    (tmp_path / "a.txt").write_text("a b c d\n\ne f g\nh i\n")

    def packed(words: int | None, **fields: Any) -> list[tuple[str, ...] | None]:
        dataset = PlainText(PlainTextConfig(str(tmp_path / "a.txt"), packed_words=words, **fields))
        assert list(dataset.texts()) == [dataset[i].text for i in range(len(dataset))]
        assert dataset.is_packed is (words is not None)
        return [dataset[i].following for i in range(len(dataset))]

    assert packed(None) == [None, None, None]
    assert packed(1) == packed(2) == [(), (), ()]
    assert packed(4) == [(), ("h i",), ("a b c d",)]
    assert packed(7) == [("e f g",), ("h i", "a b c d"), ("a b c d", "e f g")]
    assert packed(10) == [("e f g", "h i", "a b c d"), ("h i", "a b c d", "e f g"), ("a b c d", "e f g", "h i")]
    assert packed(4, fold=FoldConfig(folds=2, held_out=True)) == [(), ("a b c d",)]


def test_captions_of_a_karpathy_file(write_json: Callable[[str, Any], str]) -> None:
    images = [
        {"imgid": k, "filename": "x", "split": split, "sentences": [{"raw": f"{split} {j}"} for j in range(2)]}
        for k, split in enumerate(["train", "test", "val"])
    ]
    path = write_json("dataset.json", {"images": images})
    dataset = PlainText(PlainTextConfig(path, splits=("train", "val")))
    assert texts(dataset) == ["train 0", "train 1", "val 0", "val 1"]
    with pytest.raises(DatasetError, match="say which splits"):
        PlainText(PlainTextConfig(path))


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.txt: No such file"):
        PlainText(PlainTextConfig(str(tmp_path / "gone.txt")))
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(DatasetError, match=r"empty\.txt holds no text"):
        PlainText(PlainTextConfig(str(tmp_path / "empty.txt")))
    with pytest.raises(DatasetError, match="only a Karpathy JSON has splits"):
        PlainText(PlainTextConfig(str(tmp_path / "empty.txt"), splits=("train",)))
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9 au lait\n")
    with pytest.raises(DatasetError, match=r"latin\.txt is not UTF-8 at byte 8"):
        PlainText(PlainTextConfig(str(tmp_path / "latin.txt")))[1]
