from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from uniperceiver.config import FoldConfig, FrameSamplingConfig, VideoCsvConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_csv import VideoCsv


def test_frames_are_evenly_spaced(write_video: Callable[..., Path], tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "a b.mp4")
    (tmp_path / "train.csv").write_text('"a b.mp4" run\n')

    def make(sampling: FrameSamplingConfig) -> VideoCsv:
        return VideoCsv(VideoCsvConfig(str(tmp_path / "train.csv"), str(tmp_path / "videos"), sampling=sampling))

    record = make(FrameSamplingConfig(frames=5))[0]
    assert tuple(record.frames.shape) == (1, 5, 3, 16, 32)
    assert brightness(record.frames) == [pytest.approx([20, 60, 100, 140, 180], abs=6)]
    assert tuple(record.image.shape) == (3, 2 * 16, 3 * 32)
    assert len(make(FrameSamplingConfig(frames=20))[0].frames[0]) == 20
    clips = make(FrameSamplingConfig(frames=2, clips=3))[0].frames
    expected = [[0, 100], [40, 120], [60, 180]]  # frames 0, 2, 4, 5, 7, 9 take turns
    assert brightness(clips) == [pytest.approx(row, abs=25) for row in expected]


def brightness(frames: torch.Tensor) -> list[list[float]]:
    """Of every frame of every clip."""
    return frames.float().mean(dim=(2, 3, 4)).tolist()


def test_kinetics(write_video: Callable[..., Path], tmp_path: Path) -> None:
    write_video(tmp_path / "videos/ride bike/xyz_000003_000013.mp4", 2)
    write_video(tmp_path / "videos/abc.mp4", 2)
    source = tmp_path / "train.csv"
    source.write_text("label,youtube_id,time_start,time_end,split\nride bike,xyz,3,13,train\ndance,abc,0,10,train\n")
    dataset = VideoCsv(VideoCsvConfig(str(source), str(tmp_path / "videos")))
    assert dataset.names == ("dance", "ride bike")
    assert [dataset[i].label for i in range(2)] == [1, 0]
    held_out = VideoCsv(VideoCsvConfig(str(source), str(tmp_path / "videos"), fold=FoldConfig(2, True)))
    assert (len(held_out), held_out.names) == (1, dataset.names)


def test_names_of_folders_without_blanks(write_video: Callable[..., Path], tmp_path: Path) -> None:
    """The official preprocessing of Kinetics lists files below the folder of the list."""
    write_video(tmp_path / "k400/training/ride_bike/xyz.mp4", 2)
    source = tmp_path / "k400/K400_train.csv"
    source.write_text("./training/ride_bike/xyz.mp4,ride_bike\n")
    (tmp_path / "classes.txt").write_text("dance\nride bike\n")
    dataset = VideoCsv(VideoCsvConfig(str(source), str(source.parent), classes=str(tmp_path / "classes.txt")))
    assert dataset.names[dataset[0].label] == "ride bike"


def test_what_cannot_be_used_is_named(write_video: Callable[..., Path], tmp_path: Path) -> None:
    source, classes = tmp_path / "train.csv", tmp_path / "classes.txt"
    config = VideoCsvConfig(str(source), str(tmp_path / "videos"), classes=str(classes))
    write_video(tmp_path / "videos/a.mp4", 2)
    classes.write_text("run\n")
    for text, message in (
        ("a.mp4 3", "line 1 has the class '3'"),
        ("a.mp4,run\nb.mp4,run", r"line 2 needs the video .*b\.mp4"),
        ("a.mp4", "line 1: expected a path and a class"),
        ("", "lists no video"),
        ("label,youtube_id\nrun,zzz", r"line 2 needs the video zzz\.mp4"),
    ):
        source.write_text(text)
        with pytest.raises(DatasetError, match=message):
            VideoCsv(config)
    source.write_text("a.mp4 0")
    with pytest.raises(DatasetError, match="classes as numbers"):
        VideoCsv(VideoCsvConfig(str(source), str(tmp_path / "videos")))
    (tmp_path / "videos/a.mp4").write_bytes(b"no video")
    with pytest.raises(DatasetError, match="cannot read the video"):
        VideoCsv(config)[0]
