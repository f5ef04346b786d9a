from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from uniperceiver.config import (
    CocoInstancesConfig,
    KarpathyCaptionsConfig,
    PlainTextConfig,
    ScenesConfig,
    VqaConfig,
)
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.scenes.export import compose
from uniperceiver.data.scenes.sources import CutoutError

SETTINGS = {"images": 12, "size": 96, "names": 6, "held_out": 3, "seed": 5}


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed")
    files = compose(ScenesConfig(view="objects", split="train", **SETTINGS), out)
    assert all(file.is_file() for file in files)
    return out


@pytest.mark.parametrize(
    ("part", "split", "categories", "images"),
    [("train", "train", "training", 12), ("val", "val", "training", 1), ("novel", "test", "held_out", 1)],
)
def test_what_is_written_is_what_the_embedded_data_give(composed, part, split, categories, images) -> None:
    def embedded(view):
        return open_dataset(
            ScenesConfig(view=view, split=split, categories=categories, **(SETTINGS | {"images": images}))
        )

    annotations, pictures = composed / "annotations", composed / "images" / part
    objects = open_dataset(CocoInstancesConfig(str(annotations / f"instances_{part}.json"), str(pictures)))
    questions = open_dataset(
        VqaConfig(str(annotations / f"questions_{part}.json"), str(annotations / f"answers_{part}.json"), str(pictures))
    )
    captions = open_dataset(
        KarpathyCaptionsConfig(str(annotations / "captions.json"), str(composed / "images"), (part,))
    )
    texts = open_dataset(PlainTextConfig(str(annotations / f"texts_{part}.txt")))
    expected = {view: embedded(view) for view in ("objects", "questions", "captions", "texts")}
    assert objects.names == expected["objects"].names
    for found, wanted in zip(map(objects.__getitem__, range(len(objects))), expected["objects"], strict=True):
        for field in ("image", "boxes", "masks", "labels", "is_crowd"):
            assert torch.equal(getattr(found, field), getattr(wanted, field)), field
    assert [record.captions for record in captions] == [record.captions for record in expected["captions"]]
    assert [(q.question, set(q.answers)) for q in questions] == [
        (q.question, set(q.answers)) for q in expected["questions"]
    ]
    assert list(texts.texts()) == list(expected["texts"].texts())


def test_parts_share_no_name_that_is_novel(composed: Path) -> None:
    known, novel = (
        open_dataset(
            CocoInstancesConfig(
                str(composed / "annotations" / f"instances_{part}.json"), str(composed / "images" / part)
            )
        ).names
        for part in ("train", "novel")
    )
    assert (len(known), len(novel)) == (6, 3)
    assert not set(known) & set(novel)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CutoutError, match="is not empty: give a new folder"):
        compose(ScenesConfig(view="objects", split="train", images=1), tmp_path)


def test_pycocotools_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    compose(ScenesConfig(view="objects", split="train", images=1, size=96), tmp_path / "scenes")
    written = json.loads((tmp_path / "scenes" / "annotations" / "instances_train.json").read_text(encoding="utf-8"))
    for entry in written["annotations"]:
        assert entry["segmentation"]["size"] == [96, 96]
        assert isinstance(entry["segmentation"]["counts"], str)
