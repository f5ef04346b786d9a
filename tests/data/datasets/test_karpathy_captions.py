from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import KarpathyCaptionsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.karpathy_captions import KarpathyCaptions


def entry(number: int, split: str, *captions: str, **more: Any) -> dict[str, Any]:
    sentences = [{"raw": caption, "sentid": k} for k, caption in enumerate(captions)]
    return {"imgid": number, "filename": f"{number}.png", "split": split, "sentences": sentences, **more}


@pytest.fixture
def config(write_picture: Callable[..., Path], write_json: Callable[[str, Any], str], tmp_path: Path) -> Any:
    write_picture("images/0.png")
    write_picture("images/val2014/1.png", seed=1)
    write_picture("images/2.png", seed=2)

    def make(*splits: str, entries: list[dict[str, Any]] | None = None) -> KarpathyCaptionsConfig:
        given = entries or [
            entry(0, "train", "A cat . ", "Two cats"),
            entry(1, "restval", "A dog", filepath="val2014", cocoid=391895),
            entry(2, "test", "A cow"),
        ]
        return KarpathyCaptionsConfig(write_json("dataset.json", {"images": given}), str(tmp_path / "images"), splits)

    return make


def test_splits_captions_and_filepath(config: Any) -> None:
    dataset = KarpathyCaptions(config("train", "restval"))
    assert [dataset[i].image_id for i in range(len(dataset))] == ["0", "391895"]
    assert dataset[0].captions == ("A cat .", "Two cats")
    assert tuple(dataset[1].image.shape) == (3, 16, 24)
    assert list(dataset.texts()) == ["A cat .", "Two cats", "A dog"]
    with pytest.raises(IndexError):
        dataset[2]


def test_an_unknown_split_is_named(config: Any) -> None:
    with pytest.raises(DatasetError, match=r"no split 'val': it has restval, test, train"):
        KarpathyCaptions(config("val"))


@pytest.mark.parametrize("captions", [(), ("a", " ")])
def test_a_picture_without_caption_is_named(config: Any, captions: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match=r"0\.png \(imgid 0\) has no caption"):
        KarpathyCaptions(config("train", entries=[entry(0, "train", *captions)]))


def test_a_missing_picture_and_field_are_named(config: Any) -> None:
    with pytest.raises(DatasetError, match=r"9\.png, which does not exist"):
        KarpathyCaptions(config("train", entries=[entry(9, "train", "a")]))
    with pytest.raises(DatasetError, match=r"images\[0\] has no split, sentences"):
        KarpathyCaptions(config("train", entries=[{"imgid": 1, "filename": "a"}]))
