"""Pictures by name: files, folders, patterns, videos."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from uniperceiver.picture_sources import Failure, NamedPicture, find_sources, read_pictures


def test_folders_patterns_and_files(data: Path, tmp_path: Path) -> None:
    images = data / "images"
    assert find_sources([str(images)]) == [str(images / f"{i}.png") for i in range(6)]
    assert find_sources([f"{images}/[35].png", "gone.jpg"]) == [
        str(images / "3.png"),
        str(images / "5.png"),
        "gone.jpg",
    ]
    assert len(find_sources([f"{data}/**/*.png"])) == 12
    (tmp_path / "a[1].png").touch()
    assert find_sources([str(tmp_path / "a[1].png")]) == [str(tmp_path / "a[1].png")]
    with pytest.raises(FileNotFoundError, match="no file fits"):
        find_sources(["*.nothing"])
    mixed = tmp_path / "mixed"
    (mixed / "folder.png").mkdir(parents=True)
    (mixed / "gone.png").symlink_to("nowhere")  # found out when it is read
    os.mkfifo(mixed / "pipe.png")  # would be waited for
    assert find_sources([str(mixed)]) == find_sources([f"{mixed}/*"]) == [str(mixed / "gone.png")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no picture in"):
        find_sources([str(tmp_path / "empty")])


def write_video(path: Path, frames: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            values = np.full((48, 64, 3), 20 * number, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_every_nth_frame_of_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 8)
    found = list(read_pictures(str(tmp_path / "clip.mp4"), every=3))
    assert [picture.name.partition("#")[2] for picture in found] == ["0", "3", "6"]
    for picture, expected in zip(found, (0, 60, 120), strict=True):
        assert isinstance(picture, NamedPicture)
        assert picture.pixels.shape == (3, 48, 64)
        assert abs(picture.pixels.float().mean() - expected) < 8


def test_a_broken_video_is_a_failure(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "clip.mp4").write_bytes(b"no video at all")
    (found,) = read_pictures(str(tmp_path / "clip.mp4"))
    assert isinstance(found, Failure)
    assert "clip.mp4" in found.reason


def test_without_pyav_a_video_does_not_stop_the_pictures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"a video")
    (tmp_path / "b.png").write_bytes((data / "images" / "0.png").read_bytes())
    video, picture = (found for source in find_sources([str(tmp_path)]) for found in read_pictures(source))
    assert isinstance(video, Failure)
    assert video.name == str(tmp_path / "a.mp4")
    assert "pip install 'uniperceiver[video]'" in video.reason
    assert isinstance(picture, NamedPicture)
