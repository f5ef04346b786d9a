from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from uniperceiver.config import FoldConfig, VideoCsvConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_csv import VideoCsv

av = pytest.importorskip("av")


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a video whose frames get brighter."""

    def write(name: str, frames: int = 10) -> Path:
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
            for number in range(frames):
                pixels = np.full((16, 32, 3), 20 * number, dtype=np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return path

    return write


def test_frames_are_evenly_spaced(write_video: Callable[..., Path], tmp_path: Path) -> None:
    write_video("a b.mp4")
    (tmp_path / "train.csv").write_text('"a b.mp4" run\n')
    dataset = VideoCsv(VideoCsvConfig(str(tmp_path / "train.csv"), str(tmp_path / "videos"), frames=5))
    record = dataset[0]
    assert tuple(record.frames.shape) == (5, 3, 16, 32)
    brightness = record.frames.float().mean(dim=(1, 2, 3))
    assert brightness.tolist() == pytest.approx([20, 60, 100, 140, 180], abs=6)
    short = VideoCsv(VideoCsvConfig(str(tmp_path / "train.csv"), str(tmp_path / "videos"), frames=20))
    assert len(short[0].frames) == 20


def test_kinetics(write_video: Callable[..., Path], tmp_path: Path) -> None:
    write_video("ride bike/xyz_000003_000013.mp4", 2)
    write_video("abc.mp4", 2)
    source = tmp_path / "train.csv"
    source.write_text("label,youtube_id,time_start,time_end,split\nride bike,xyz,3,13,train\ndance,abc,0,10,train\n")
    dataset = VideoCsv(VideoCsvConfig(str(source), str(tmp_path / "videos")))
    assert dataset.names == ("dance", "ride bike")
    assert [dataset[i].label for i in range(2)] == [1, 0]
    held_out = VideoCsv(VideoCsvConfig(str(source), str(tmp_path / "videos"), fold=FoldConfig(2, True)))
    assert (len(held_out), held_out.names) == (1, dataset.names)


def test_what_cannot_be_used_is_named(write_video: Callable[..., Path], tmp_path: Path) -> None:
    source, classes = tmp_path / "train.csv", tmp_path / "classes.txt"
    config = VideoCsvConfig(str(source), str(tmp_path / "videos"), classes=str(classes))
    write_video("a.mp4", 2)
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
