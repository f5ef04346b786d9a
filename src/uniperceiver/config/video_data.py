"""Configuration of data sets of videos."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Positive
from uniperceiver.config.fold import FoldConfig


@dataclass(frozen=True, config=STRICT)
class FrameSamplingConfig:
    """Which frames of a video are looked at."""

    frames: Positive = 8
    """T, frames of a clip."""
    clips: Positive = 1
    """Evaluation: clips of a video. They are interleaved: of ``frames`` times ``clips`` frames, evenly spaced over the
    video, a clip has every ``clips``-th (v1: 4; with the crops of `ImageSizeConfig` these are the views of a video)."""
    stride: Positive | None = None
    """Training: one frame every so many thirtieths of a second, from a random start (v1: 32). Where that is longer than
    the video, and with None: evenly spaced over it, the middles of as many parts."""

    def __post_init__(self) -> None:
        """Clips of a random start are not interleaved."""
        if self.stride is not None and self.clips > 1:
            raise ValueError("stride is for training, clips are for evaluation: give one of them")


@dataclass(frozen=True, config=STRICT)
class VideoCsvConfig:
    """Videos with a class: Kinetics' own CSV, or lines ``path class``."""

    annotations: str
    videos: str
    """Folder; Kinetics' files are ``[LABEL/]ID_000012_000022.mp4`` or ``[LABEL/]ID.mp4``."""
    kind: Literal["video_csv"] = "video_csv"
    classes: str | None = None
    """Text file with one class name a line, required where classes are numbers; None: the names that occur."""
    sampling: FrameSamplingConfig = field(default_factory=FrameSamplingConfig)
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=STRICT)
class VideoCaptionsConfig:
    """Videos with captions: MSR-VTT's JSON, COCO captions JSON whose files are videos, MSVD's CSV, or a CSV, TSV or
    JSON Lines file with a video and a text a row."""

    annotations: str
    videos: str
    """Folder; a video is given by its file, with or without ending."""
    kind: Literal["video_captions"] = "video_captions"
    split: str | None = None
    """MSR-VTT: ``train``, ``validate`` or ``test``; None: all of the file."""
    video: str = "video"
    """Tables and JSON Lines: the column with the video."""
    text: str = "caption"
    """The same: the column with the text; in JSON Lines it may hold a list of texts."""
    sampling: FrameSamplingConfig = field(default_factory=FrameSamplingConfig)
    fold: FoldConfig | None = None
