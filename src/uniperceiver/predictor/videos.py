"""A video file as a task looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from uniperceiver.config import FrameSamplingConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_files import VideoBounds, read_clips
from uniperceiver.data.images import ImageError
from uniperceiver.data.records import LabelledVideo
from uniperceiver.data.transforms import Transform


@dataclass(frozen=True)
class VideoReader:
    """Reads the views of a video: those that the evaluation of a task looks at."""

    sampling: FrameSamplingConfig
    transform: Transform

    def __call__(self, path: Path | str) -> Tensor:
        """`views` of a file.

        Raises:
            ImageError: not a video, broken, without a frame, too large or too long; or no PyAV.
        """
        try:
            return self.views(Path(path))
        except DatasetError as error:
            raise ImageError(str(error)) from error
        except ImportError as error:
            raise ImageError(f"cannot read {path}: {error}") from error

    def views(self, source: Path | bytes, bounds: VideoBounds | None = None) -> Tensor:
        """(V, T, 3, h, w) uint8 RGB, V views of T frames: clips, and crops of each; errors as in `read_clips`."""
        return read_clips(source, self.sampling, bounds, self._crops).transpose(1, 2).flatten(0, 1)

    def _crops(self, frame: Tensor) -> Tensor:
        """(3, H, W) -> (crops, 3, h, w); frames are cut one by one because those of a clip may take gigabytes."""
        cut = self.transform(LabelledVideo(frame[None, None], "", 0))
        assert isinstance(cut, LabelledVideo)
        return cut.frames[:, 0]
