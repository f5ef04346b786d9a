from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import FoldConfig, FrameSamplingConfig, VideoCaptionsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_captions import VideoCaptions, read_video_captions

MSRVTT = {
    "videos": [{"video_id": "video0", "split": "train"}, {"video_id": "video1", "split": "test"}],
    "sentences": [
        {"video_id": "video1", "caption": "a man sings"},
        {"video_id": "video0", "caption": "a dog runs"},
        {"video_id": "video1", "caption": "someone sings"},
    ],
}
COCO = {
    "images": [{"id": 3, "file_name": "video0.mp4"}, {"id": 4, "file_name": "video1.avi"}],
    "annotations": [{"image_id": 4, "caption": "a man sings"}, {"image_id": 3, "caption": "a dog runs"}],
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., VideoCaptionsConfig]:
    """Writes annotations, JSON from objects, beside two files that stand for videos."""
    for name in ("video0.mp4", "video1.avi", "abc_10_25.avi"):
        (tmp_path / name).touch()

    def build(name: str, content: Any, **changes: Any) -> VideoCaptionsConfig:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return VideoCaptionsConfig(str(tmp_path / name), str(tmp_path), **changes)

    return build


def test_msrvtt_and_its_splits(make: Callable[..., VideoCaptionsConfig]) -> None:
    assert read_video_captions(make("info.json", MSRVTT)) == {
        "video0": ["a dog runs"],
        "video1": ["a man sings", "someone sings"],
    }
    dataset = VideoCaptions(make("info.json", MSRVTT, split="test"))
    assert list(dataset.texts()) == ["a man sings", "someone sings"]
    assert repr(dataset).endswith("(1 videos)")
    with pytest.raises(DatasetError, match="no video of the split 'dev': it has test, train"):
        VideoCaptions(make("info.json", MSRVTT, split="dev"))


def test_coco_captions_of_videos(make: Callable[..., VideoCaptionsConfig]) -> None:
    dataset = VideoCaptions(make("captions.json", COCO))
    assert list(dataset.texts()) == ["a dog runs", "a man sings"]
    held_out = VideoCaptions(make("captions.json", COCO, fold=FoldConfig(2, held_out=True)))
    assert list(held_out.texts()) == ["a dog runs"]
    with pytest.raises(DatasetError, match="has no splits"):
        VideoCaptions(make("captions.json", COCO, split="train"))


def test_msvd_english_alone(make: Callable[..., VideoCaptionsConfig]) -> None:
    table = (
        "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"
        "abc,10,25,1,clean,9,English,a cat sleeps\n"
        "abc,10,25,2,clean,9,German,eine Katze\n"
        "abc,10,25,3,clean,9,English,\n"
    )
    assert read_video_captions(make("msvd.csv", table)) == {"abc_10_25": ["a cat sleeps"]}


def test_tables_and_json_lines(make: Callable[..., VideoCaptionsConfig]) -> None:
    table = make("pairs.csv", "video_id,sentence\nvideo0,a dog\nvideo0,runs\n", video="video_id", text="sentence")
    assert list(VideoCaptions(table).texts()) == ["a dog", "runs"]
    lines = make("pairs.jsonl", '{"video": "video1.avi", "caption": ["a man", "sings"]}\n')
    assert list(VideoCaptions(lines).texts()) == ["a man", "sings"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "clip,caption\nx,y\n", "has no 'video': it has 'clip', 'caption'"),
        ("a.csv", "video,caption\n,y\n", "names no video"),
        ("a.csv", "video,caption\nvideo0, \n", "has no text in 'caption'"),
        ("a.csv", "video,caption\nnone,words\n", "needs the video"),
        ("a.csv", "video,caption\n", "holds no video with a caption"),
        ("a.json", {"images": []}, "with a list 'annotations'"),
        ("a.json", COCO | {"annotations": COCO["annotations"][:1]}, "1 videos have no caption, the first is video0"),
        ("a.json", COCO | {"annotations": [{"image_id": 9, "caption": "x"}]}, "image 9, which the file's images lack"),
        ("a.json", COCO | {"images": [COCO["images"][0]] * 2}, "the same id or file_name"),
        ("a.json", MSRVTT | {"sentences": [{"video_id": "z", "caption": "x"}]}, "the video z, which the file's videos"),
        ("a.json", MSRVTT | {"videos": [{}]}, r"videos\[0\] has no video_id"),
    ],
)
def test_what_cannot_be_used_is_named(
    make: Callable[..., VideoCaptionsConfig], name: str, content: Any, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        VideoCaptions(make(name, content))


def test_a_record_has_frames_and_all_captions(write_video: Callable[..., Path], tmp_path: Path) -> None:
    write_video(tmp_path / "videos/video1.mp4", 4)
    (tmp_path / "info.json").write_text(json.dumps(MSRVTT))
    sampling = FrameSamplingConfig(frames=2, clips=2)
    config = VideoCaptionsConfig(str(tmp_path / "info.json"), str(tmp_path / "videos"), split="test", sampling=sampling)
    record = VideoCaptions(config)[0]
    assert tuple(record.frames.shape) == (2, 2, 3, 16, 32)
    assert record.captions == ("a man sings", "someone sings")
    assert record.image_id.endswith("video1.mp4")
