from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from uniperceiver.config import ConfigError, FrameSamplingConfig
from uniperceiver.config.reading import from_data
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_files import VideoBounds, find_video, read_clips, wanted_frames
from uniperceiver.picture_sources import NamedPicture, read_pictures


def test_the_middles_of_equal_parts() -> None:
    assert wanted_frames(100, 25, FrameSamplingConfig(frames=4)) == [12, 37, 62, 87]
    assert wanted_frames(3, 25, FrameSamplingConfig(frames=6)) == [0, 0, 1, 1, 2, 2]
    assert wanted_frames(1, 25, FrameSamplingConfig(frames=2, clips=2)) == [0, 0, 0, 0]


def test_clips_take_turns() -> None:
    """v1's 4 clips of a video: of 32 frames, clip i has every fourth from the i-th on."""
    places = wanted_frames(64, 25, FrameSamplingConfig(frames=8, clips=4))
    assert [places[clip::4] for clip in range(4)][1] == [3, 11, 19, 27, 35, 43, 51, 59]


def test_a_stride_begins_anywhere_and_counts_thirtieths_of_a_second() -> None:
    sampling = FrameSamplingConfig(frames=3, stride=6)
    torch.manual_seed(0)
    found = [wanted_frames(40, 15, sampling) for _ in range(200)]
    assert all(later - earlier == 3 for row in found for earlier, later in pairwise(row))
    starts = {row[0] for row in found}
    assert (min(starts), max(starts)) == (0, 32)
    assert all(row[-1] < 40 for row in found)
    torch.manual_seed(0)
    assert wanted_frames(40, 15, sampling) == found[0]


def test_a_stride_begins_anew_where_the_video_ends() -> None:
    assert wanted_frames(10, 30, FrameSamplingConfig(frames=2, stride=32)) == [0, 2]
    assert wanted_frames(1, 30, FrameSamplingConfig(frames=3, stride=32)) == [0, 0, 0]


@pytest.mark.parametrize(
    ("total", "rate", "frames", "clips", "expected"),
    [
        # Kinetics: of ten seconds, 32 frames every 8/30 s, so all but the last 1.7 s
        (300, 30, 8, 4, [*range(0, 256, 8)]),
        # 6 2/3 frames, rounded down each for itself
        (250, 25, 2, 4, [0, 6, 13, 20, 26, 33, 40, 46]),
        # an NTSC rate: 8 · 30000/1001 / 30 = 7.992…
        (300, 30000 / 1001, 2, 4, [0, 7, 15, 23, 31, 39, 47, 55]),
        # shorter than needed: 40 and 48 of 36 frames are 4 and 12
        (36, 30, 2, 4, [0, 8, 16, 24, 32, 4, 12, 20]),
        # and several times as short
        (5, 30, 2, 4, [0, 3, 1, 4, 2, 0, 3, 1]),
        # MSVD: one view
        (300, 15, 4, 1, [0, 16, 32, 48]),
        (100, 30, 4, 1, [0, 32, 64, 96]),
        (90, 30, 4, 1, [0, 32, 64, 6]),
        # 32 // 3 = 10, as officially
        (300, 30, 1, 3, [0, 10, 20]),
    ],
)
def test_frames_of_the_official_evaluation(
    total: int, rate: float, frames: int, clips: int, expected: list[int]
) -> None:
    """By hand from the official formula: frame i of T · V is ⌊i · (32 // V) · rate / 30⌋ modulo the video's length."""
    sampling = FrameSamplingConfig(frames, clips, stride=32, start="first")
    assert wanted_frames(total, rate, sampling) == expected


def test_the_official_clips_take_turns(write_video: Callable[..., Path], tmp_path: Path) -> None:
    """Of frames 0, 1, 2, … of ten (at 30 a second, stride 4, four clips), clip i has i and i + 4; frame k is 20 k."""
    path = write_video(tmp_path / "a.mp4", 10, rate=30)
    clips = read_clips(path, FrameSamplingConfig(frames=2, clips=4, stride=4, start="first"))
    assert clips.shape == (4, 2, 3, 16, 32)
    brightness = clips.float().mean(dim=(2, 3, 4))
    expected = torch.tensor([[0.0, 80.0], [20.0, 100.0], [40.0, 120.0], [60.0, 140.0]])
    torch.testing.assert_close(brightness, expected, atol=6.0, rtol=0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stride": 4, "clips": 2}, "2 clips are for evaluation, .* add start: first"),
        ({"start": "first"}, "add stride"),
        ({"stride": 2, "clips": 3, "start": "first"}, "3 clips of stride 2 .*give fewer clips"),
    ],
)
def test_what_a_start_does_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_data(FrameSamplingConfig, given, "test")


def test_a_video_is_found_with_its_ending_or_without(tmp_path: Path) -> None:
    (tmp_path / "a.avi").touch()
    assert find_video(tmp_path, "a", "x") == find_video(tmp_path, "a.avi", "x") == tmp_path / "a.avi"
    with pytest.raises(DatasetError, match=r"x needs the video .*b \(with \.mp4"):
        find_video(tmp_path, "b", "x")


def test_what_is_no_video_or_has_no_frame(write_video: Callable[..., Path], tmp_path: Path) -> None:
    broken = write_video(tmp_path / "broken.mp4")
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "words.mp4").write_text("no video")
    for path in (broken, tmp_path / "words.mp4"):
        with pytest.raises(DatasetError, match=f"cannot read the video {path}"):
            read_clips(path, FrameSamplingConfig())


def test_frames_are_upright(lying_video: Callable[[Path], Path], tmp_path: Path) -> None:
    """As those of videos that are looked at frame by frame: what lay on the right is below."""
    path = lying_video(tmp_path / "a.mp4")
    ((first, *_),) = read_clips(path, FrameSamplingConfig(frames=4))
    assert first.shape == (3, 32, 16)
    assert first[:, :14].float().mean() < 20
    assert first[:, 18:].float().mean() > 180
    picture = next(read_pictures(str(path)))
    assert isinstance(picture, NamedPicture)
    assert torch.equal(first, picture.pixels)


def test_the_bytes_of_a_file_are_read_as_the_file(write_video: Callable[..., Path], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    sampling = FrameSamplingConfig(frames=2, clips=2)
    clips = read_clips(path, sampling)
    assert torch.equal(read_clips(path.read_bytes(), sampling), clips)
    small = read_clips(path, sampling, cut=lambda frame: frame[None, :, :4, :6])
    assert torch.equal(small, clips[:, :, None, :, :4, :6])
    with pytest.raises(DatasetError, match="the video that was sent has more than 9 frames"):
        read_clips(path.read_bytes(), sampling, VideoBounds(1000, 9))
    places = iter(range(1, 9))
    with pytest.raises(DatasetError, match=r"a\.mp4 changes while it is read, or the size of its frames does"):
        read_clips(path, sampling, cut=lambda frame: frame[:, : next(places)])
