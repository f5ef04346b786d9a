"""Frames of video files, decoded with PyAV."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from uniperceiver.config import FrameSamplingConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.images import MAX_PIXELS, VIDEO_SUFFIXES

MOST_FRAMES = 100_000
"""Frames that are decoded of one video, about an hour."""
STRIDE_UNIT = 30
"""Strides count frames of a video that has this many a second (spec/uni_perceiver_v1_moe.md, 7.5)."""


def find_video(folder: Path, name: str, where: str) -> Path:
    """The file ``name`` in a folder, given with its ending or without; ``where`` says who asks for it.

    Raises:
        DatasetError: there is none.
    """
    for suffix in ("", *VIDEO_SUFFIXES):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise DatasetError(
        f"{where} needs the video {folder / name} (with {', '.join(VIDEO_SUFFIXES)}), which does not exist: is "
        "`videos` the right folder?"
    )


def read_clips(path: Path, sampling: FrameSamplingConfig) -> Tensor:
    """Clips (V, T, 3, H, W) uint8 RGB, upright, of a video, V being ``sampling.clips``; a short one repeats frames.

    All frames are decoded, because what containers say of their length is often wrong. A random start is drawn
    from torch's default generator.

    Raises:
        DatasetError: not a video, broken, without a frame, too large or too long.
        ImportError: without the extra ``video``.
    """
    av = import_av()
    try:
        total, rate = _measure(av, path)
        wanted = wanted_frames(total, rate, sampling)
        frames = _decode(av, path, set(wanted))
    except (av.FFmpegError, IndexError) as error:
        raise DatasetError(f"cannot read the video {path}: {error}; replace the file") from None
    stacked = torch.from_numpy(np.stack([frames[index] for index in wanted])).permute(0, 3, 1, 2)
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


def _measure(av: ModuleType, path: Path) -> tuple[int, float]:
    """Number of frames, and of frames a second."""
    total = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.width * stream.height > MAX_PIXELS:
            raise DatasetError(f"{path}: frames of {stream.width}x{stream.height} pixels are too large")
        rate = float(stream.average_rate or STRIDE_UNIT)
        for packet in container.demux(stream):
            total += len(packet.decode())
            if total > MOST_FRAMES:
                raise DatasetError(f"{path} has more than {MOST_FRAMES} frames: cut it into clips")
    if not total:
        raise DatasetError(f"{path} has no frame")
    return total, rate


def _decode(av: ModuleType, path: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    """Frame number → (H, W, 3) uint8, upright, of those wanted."""
    kept: dict[int, np.ndarray] = {}
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                kept[index] = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)  # phones film lying
            if len(kept) == len(wanted):
                break
    return kept


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
