"""Videos of strangers become what the model looks at: in a thread of their own, in bounded time and memory."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

from uniperceiver.config import TaskKind
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.video_files import LargeVideoError, UnknownVideoError, VideoBounds, import_av
from uniperceiver.predictor import Predictor
from uniperceiver.predictor.videos import VideoReader
from uniperceiver.serve.errors import ServiceError, invalid, queue_full, too_large
from uniperceiver.serve.limits import Limits

FORMATS = ("mov", "matroska", "avi")
"""FFmpeg's names; MP4 is one of QuickTime's, WebM one of Matroska. Those of playlists would open other files, and
streams of MPEG are not known before they are decoded, so nothing would bound that."""
CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "mpeg2video", "mjpeg", "ffv1")
"""FFmpeg's names of decoders. It has hundreds, many of which nobody looks after."""


def video_reader(predictor: Predictor, kind: TaskKind) -> VideoReader | None:
    """How a kind of task looks at a video; None: it takes none, or nothing here decodes them."""
    try:
        import_av()
    except ImportError:
        return None
    return predictor.video_reader(kind)


class VideoDecoder:
    """Decodes one video after the other, while the model and the event loop go on.

    A video is decoded when its turn comes, to the frames that the task looks at, in the task's size. So frames in full
    are there one at a time.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._thread = ThreadPoolExecutor(1, "videos")
        self._waiting = 0

    async def views(self, video: bytes, reader: VideoReader | None) -> Tensor:
        """(V, T, 3, h, w) uint8, what ``reader`` looks at of an encoded video.

        Raises:
            ServiceError: 413, 415 or 422, the video is not within the limits, none, or broken; 422 without a
                ``reader``; 503, too many videos are waiting.
            TimeoutError: it took longer than ``limits.seconds``.
        """
        if reader is None:
            message = "this model takes no videos here, or the server cannot decode them"
            raise invalid(message, "send frames as pictures; /v1/model says which verbs take videos")
        if self._waiting >= self.limits.queue:
            raise queue_full(self._waiting)
        end = time.monotonic() + self.limits.seconds
        self._waiting += 1
        try:
            decoding = asyncio.get_running_loop().run_in_executor(self._thread, self._decode, video, reader, end)
            return await decoding
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Decode nothing more, and return when what was being decoded is done."""
        self._thread.shutdown(cancel_futures=True)

    def _decode(self, video: bytes, reader: VideoReader, end: float) -> Tensor:
        bounds = VideoBounds(self.limits.pixels, self.limits.video_frames, end, FORMATS, CODECS)
        try:
            return reader.views(video, bounds)
        except UnknownVideoError as error:
            change = "send an MP4, QuickTime, Matroska, WebM or AVI file with H.264, H.265, VP9 or AV1"
            raise ServiceError(415, "not_a_video", str(error), change) from None
        except LargeVideoError as error:
            change = "make it smaller or shorter, or raise the server's --pixels or --video-frames"
            raise too_large(str(error), change) from None
        except DatasetError as error:
            raise invalid(str(error), "send a whole video") from None
