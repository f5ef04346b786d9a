"""Frames of video files, decoded with PyAV."""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uniperceiver.config import FrameSamplingConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.images import MAX_PIXELS, VIDEO_SUFFIXES

ENDINGS = ("", *VIDEO_SUFFIXES, *(suffix.upper() for suffix in VIDEO_SUFFIXES))
"""What may follow the name of a video in annotations; cameras write theirs in capitals."""
MOST_FRAMES = 100_000
"""Frames that are decoded of one video, about an hour."""
LONGEST = 32
"""Longer side of a frame, in shorter ones: resizing the shorter side, to cut crops, makes much of a long frame."""
STRIDE_UNIT = 30
"""Strides count frames of a video that has this many a second (spec/uni_perceiver_v1_moe.md, 7.5)."""


class UnknownVideoError(DatasetError):
    """No video, or of a format or codec that is not read."""


class LargeVideoError(DatasetError):
    """Frames that are too large, too long or too many."""


@dataclass(frozen=True)
class VideoBounds:
    """What is decoded of a video. Strangers' want tighter bounds than files that the user names.

    ``formats`` and ``codecs`` are FFmpeg's names of demuxers and decoders; None: all that it has. Some of its demuxers
    fetch further files, and some find a video's streams too late to bound what is decoded while they look for them.
    """

    pixels: int
    """Most of a frame."""
    frames: int
    """Most of the video."""
    end: float = math.inf
    """When to give up, by `time.monotonic`."""
    formats: tuple[str, ...] | None = None
    codecs: tuple[str, ...] | None = None


def find_video(folder: Path, name: str, where: str) -> Path:
    """The file ``name`` in a folder, given with its ending or without; ``where`` says who asks for it.

    Raises:
        DatasetError: there is none.
    """
    for suffix in ENDINGS:
        path = folder / f"{name}{suffix}"
        if os.path.isfile(path):
            return path
    raise DatasetError(
        f"{where} needs the video {folder / name} (with {', '.join(VIDEO_SUFFIXES)}), which does not exist: is "
        "`videos` the right folder?"
    )


def read_clips(
    source: Path | bytes,
    sampling: FrameSamplingConfig,
    bounds: VideoBounds | None = None,
    cut: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Clips (V, T, 3, H, W) uint8 RGB, upright, of a video, V being ``sampling.clips``; a short one repeats frames.

    All frames are decoded, because what containers say of their length is often wrong. A random start is drawn
    from torch's default generator.

    Args:
        source: a file, or what is in one.
        sampling: which frames.
        bounds: None: `MAX_PIXELS` and `MOST_FRAMES`.
        cut: what to keep of each frame (3, H, W) when it is decoded, in the place of its last three dimensions.

    Raises:
        UnknownVideoError: not a video.
        LargeVideoError: too large or too long.
        DatasetError: broken, without a frame, or of frames of several sizes.
        TimeoutError: not decoded by the end that ``bounds`` set.
        ImportError: without the extra ``video``.
    """
    bounds = bounds or VideoBounds(MAX_PIXELS, MOST_FRAMES)
    total, rate = _measure(source, bounds)
    wanted = wanted_frames(total, rate, sampling)
    kept = _decode(source, bounds, set(wanted), cut)
    if len(kept) < len(set(wanted)) or len({frame.shape for frame in kept.values()}) > 1:
        raise DatasetError(
            f"{_name(source)} changes while it is read, or the size of its frames does: replace the file"
        )
    # Colours stay together in memory, which torchvision resizes quicker.
    stacked = torch.stack([kept[index].movedim(-3, -1) for index in wanted]).movedim(-1, -3)
    return stacked.unflatten(0, (sampling.frames, sampling.clips)).transpose(0, 1)


def wanted_frames(total: int, rate: float, sampling: FrameSamplingConfig) -> list[int]:
    """Numbers of T · V frames of a video of ``total`` frames, ``rate`` a second; its V clips take turns.

    They follow each other in time. With a stride they begin anew behind the last frame, as often as it takes
    (spec/uni_perceiver_v1_moe.md, 7.5).
    """
    number = sampling.frames * sampling.clips
    if sampling.stride is None:
        return [int((place + 0.5) * total / number) for place in range(number)]
    stride = sampling.stride // sampling.clips
    offsets = [int(place * stride * rate / STRIDE_UNIT) for place in range(number)]
    spare = total - offsets[-1] - 1
    start = int(torch.randint(spare, ())) if sampling.start == "random" and spare > 0 else 0
    return [(start + offset) % total for offset in offsets]


def _measure(source: Path | bytes, bounds: VideoBounds) -> tuple[int, float]:
    """Number of frames, and of frames a second."""
    total = 0
    with _opened(source, bounds) as (rate, frames):
        for _ in frames:
            total += 1
            if total > bounds.frames:
                raise LargeVideoError(f"{_name(source)} has more than {bounds.frames} frames: cut it into clips")
    if not total:
        raise DatasetError(f"{_name(source)} has no frame")
    return total, rate


def _decode(
    source: Path | bytes, bounds: VideoBounds, wanted: set[int], cut: Callable[[Tensor], Tensor] | None
) -> dict[int, Tensor]:
    """Frame number → (3, H, W) uint8, upright, or what ``cut`` makes of it, of those wanted."""
    kept: dict[int, Tensor] = {}
    with _opened(source, bounds) as (_, frames):
        for index, frame in enumerate(frames):
            if index in wanted:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)  # phones film lying
                pixels = torch.from_numpy(np.ascontiguousarray(upright)).permute(2, 0, 1)
                kept[index] = pixels if cut is None else cut(pixels)
            if len(kept) == len(wanted):
                break
    return kept


@contextmanager
def _opened(source: Path | bytes, bounds: VideoBounds) -> Iterator[tuple[float, Iterator[Any]]]:
    """Frames a second, and PyAV's frames as they are decoded; errors, also of decoding, are those of `read_clips`."""
    av, name = import_av(), _name(source)
    # Decoders pad frames before they compare, so this is roomy; sizes themselves are compared below.
    options = {"max_pixels": str(2 * bounds.pixels + 2**20)}
    if bounds.codecs is not None:
        options["codec_whitelist"] = ",".join(bounds.codecs)
    formats = {} if bounds.formats is None else {"format_whitelist": ",".join(bounds.formats)}
    file = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        container = av.open(file, options=options, container_options=formats, metadata_errors="replace")
    except av.FFmpegError as error:
        raise UnknownVideoError(f"cannot read {name}: {error.strerror}; replace the file") from None
    with container:
        stream = _video_stream(container, name, bounds)
        stream.codec_context.options = options
        try:
            yield float(stream.average_rate or STRIDE_UNIT), _frames(container, stream, name, bounds)
        except av.FFmpegError as error:
            if not stream.width * stream.height:  # FFmpeg forgets sizes above its bound
                message = f"{name}: frames of no known size, or of far more than {bounds.pixels} pixels"
                raise LargeVideoError(message) from None
            raise DatasetError(f"cannot read {name}: {error.strerror}; replace the file") from None


def _video_stream(container: Any, name: str, bounds: VideoBounds) -> Any:
    """The first stream of pictures, if what is said of it is within the bounds."""
    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise UnknownVideoError(f"cannot read {name}: there is no video in it")
    codec = None if stream.codec_context is None else stream.codec_context.codec.name
    if codec is None or (bounds.codecs is not None and codec not in bounds.codecs):
        raise UnknownVideoError(f"cannot read {name}: its codec, {codec or 'unknown'}, is not decoded here; convert it")
    _check_size(stream, name, bounds)
    return stream


def _frames(container: Any, stream: Any, name: str, bounds: VideoBounds) -> Iterator[Any]:
    for packet in container.demux(stream):
        if time.monotonic() > bounds.end:
            raise TimeoutError(f"{name} was not decoded in time")
        for frame in packet.decode():
            _check_size(frame, name, bounds)  # it may change on the way
            yield frame


def _check_size(sized: Any, name: str, bounds: VideoBounds) -> None:
    """LargeVideoError unless what has ``width`` and ``height``, a stream or frame, is within the bounds."""
    width, height = sized.width, sized.height
    if width * height > bounds.pixels:
        raise LargeVideoError(f"{name}: frames of {width}x{height} pixels are too large")
    if max(width, height) > LONGEST * min(width, height):
        raise LargeVideoError(f"{name}: frames of {width}x{height} pixels are too long")


def _name(source: Path | bytes) -> str:
    """For errors."""
    return "the video that was sent" if isinstance(source, bytes) else f"the video {source}"


def import_av() -> ModuleType:
    """PyAV.

    Raises:
        ImportError: without the extra ``video``.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install 'uniperceiver[video]'") from error
    return av
