"""Clips written to files, and read back."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from uniperceiver.config import FrameSamplingConfig, ScenesConfig, VideoCaptionsConfig, VideoCsvConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.recognition.recognise import recognise
from uniperceiver.data.scenes.export import compose
from uniperceiver.data.scenes.motion import MOTIONS

SETTINGS: dict[str, Any] = {"images": 6, "size": 64, "names": 6, "held_out": 3, "seed": 5, "frames": 5}
SAMPLING = FrameSamplingConfig(2, clips=2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training clips and one of each other part, beside two pictures."""
    pytest.importorskip("av", reason="encodes them")
    out = tmp_path_factory.mktemp("composed")
    compose(ScenesConfig(view="motions", split="train", **SETTINGS | {"images": 2}), out, clips=6)
    return out / "clips"


@pytest.mark.parametrize(
    ("part", "split", "categories", "number"),
    [("train", "train", "training", 6), ("val", "val", "training", 1), ("novel", "test", "held_out", 1)],
)
def test_what_is_written_is_what_the_embedded_data_give(clips, part, split, categories, number) -> None:
    def embedded(view):
        settings = SETTINGS | {"images": number, "split": split, "categories": categories, "sampling": SAMPLING}
        return open_dataset(ScenesConfig(view=view, **settings))

    videos = str(clips / "videos")
    motions = open_dataset(
        VideoCsvConfig(
            str(clips / f"motions_{part}.csv"), videos, classes=str(clips / "classes.txt"), sampling=SAMPLING
        )
    )
    captions = open_dataset(
        VideoCaptionsConfig(str(clips / f"motion_captions_{part}.jsonl"), videos, sampling=SAMPLING)
    )
    assert motions.names == MOTIONS
    assert len(motions) == len(captions) == number
    for index in range(number):
        found, wanted = motions[index], embedded("motions")[index]
        assert found.frames.shape == (2, 2, 3, 64, 64)
        assert torch.equal(found.frames, wanted.frames), "not a pixel is lost"
        assert found.label == wanted.label
        assert captions[index].captions == embedded("motion_captions")[index].captions
        assert captions[index].image_id == found.image_id


def test_the_folder_is_recognised(clips: Path) -> None:
    found = {data.group: data for data in recognise(clips)}
    assert set(found) == {"video_csv", "video_captions"}
    for data, name in ((found["video_csv"], "motions"), (found["video_captions"], "motion_captions")):
        assert Path(data.training.annotations).stem == f"{name}_train"
        assert Path(data.evaluation.annotations).stem == f"{name}_val"
        assert len(open_dataset(data.training)) == 6


def test_without_pyav_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'uniperceiver\[video\]'"):
        compose(ScenesConfig(view="motions", split="train", **SETTINGS), tmp_path / "out", clips=1)
    assert not (tmp_path / "out").exists()
