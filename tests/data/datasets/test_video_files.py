from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from uniperceiver.config import ConfigError, FrameSamplingConfig
from uniperceiver.config.reading import from_data
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_files import find_video, read_clips, wanted_frames


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


def test_a_video_shorter_than_the_strides_is_looked_at_whole() -> None:
    assert wanted_frames(10, 30, FrameSamplingConfig(frames=2, stride=32)) == [2, 7]


def test_strides_and_clips_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="stride is for training, clips are for evaluation"):
        from_data(FrameSamplingConfig, {"stride": 4, "clips": 2}, "test")


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
