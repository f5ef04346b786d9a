"""Configuration of data sets of videos."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Literal, Self

from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Positive
from uniperceiver.config.fold import FoldConfig


@dataclass(frozen=True, config=STRICT)
class FrameSamplingConfig:
    """Which frames of a video are looked at."""

    frames: Positive = 8
    """T, frames of a clip."""
    clips: Positive = 1
    """Evaluation: clips of a video. They are interleaved: of ``frames`` times ``clips`` frames a clip has every
    ``clips``-th (v1: 4; with the crops of `ImageSizeConfig` these are the views of a video)."""
    stride: Positive | None = None
    """One frame of a clip every so many thirtieths of a second (v1: 32); where the video ends, it begins anew. The
    frames of several clips lie ``stride // clips`` apart. None: evenly spaced over the video, the middles of as many
    parts."""
    start: Literal["random", "first"] = "random"
    """Where a stride begins: anywhere that leaves room for all frames (training), or with the first frame (v1's
    evaluation)."""

    def __post_init__(self) -> None:
        """Where a stride begins must fit the rest."""
        if self.stride is None:
            if self.start == "first":
                raise ValueError("start: first says where a stride begins, and none is given: add stride (v1: 32)")
            return
        if self.clips > 1 and self.start == "random":
            raise ValueError(
                f"{self.clips} clips are for evaluation, a stride from a random start is for training: add start: "
                "first, as v1 evaluates, or leave out stride, which spreads the frames over the video"
            )
        if self.clips > self.stride:
            raise ValueError(f"{self.clips} clips of stride {self.stride} have no frame between them: give fewer clips")

    def within(self, places: int) -> Self:
        """The same with no more frames than a model has places in time."""
        return replace(self, frames=min(self.frames, places))


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
