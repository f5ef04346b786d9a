"""A video file as a task looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from uniperceiver.config import FrameSamplingConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_files import read_clips
from uniperceiver.data.images import ImageError
from uniperceiver.data.records import LabelledVideo
from uniperceiver.data.transforms import Transform


@dataclass(frozen=True)
class VideoReader:
    """Reads the views of a video: those that the evaluation of a task looks at."""

    sampling: FrameSamplingConfig
    transform: Transform

    def __call__(self, path: Path | str) -> Tensor:
        """(V, T, 3, h, w) uint8 RGB, V views of T frames: clips, and crops of each.

        Raises:
            ImageError: not a video, broken, without a frame, too large or too long; or no PyAV.
        """
        try:
            frames = read_clips(Path(path), self.sampling)
        except DatasetError as error:
            raise ImageError(str(error)) from error
        except ImportError as error:
            raise ImageError(f"cannot read {path}: {error}") from error
        cut = self.transform(LabelledVideo(frames, str(path), 0))
        assert isinstance(cut, LabelledVideo)
        return cut.frames
