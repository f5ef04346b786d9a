"""Pictures by name: files, folders, patterns, videos and their frames, addresses on the web."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from uniperceiver.data.images import PICTURE_SUFFIXES, VIDEO_SUFFIXES, ImageError, decode_image, is_video, read_image
from uniperceiver.web_files import fetch, is_url

EVERY = 30
"""Of a video that is looked at frame by frame, the first frame of so many."""


@dataclass(frozen=True)
class NamedPicture:
    """A picture, or a video that is looked at as a whole, and what to call it."""

    name: str
    """The path or address as found; frame 60 of a video is ``clip.mp4#60``."""
    pixels: Tensor
    """(3, H, W) uint8 RGB, upright; of a video (V, T, 3, h, w), as it was read."""


@dataclass(frozen=True)
class Failure:
    """A file or address that gave no picture."""

    name: str
    reason: str


def find_sources(given: Sequence[str]) -> list[str]:
    """Files and addresses as they are; folders as the pictures and videos in them, not below; patterns as what fits.

    ``**`` in a pattern stands for any folders. What a folder or pattern gives is sorted by name. A file that does not
    exist is found out when it is read, so that it does not stop the others.

    Raises:
        FileNotFoundError: a folder or pattern gives nothing.
    """
    found: list[str] = []
    for name in given:
        path = Path(name)
        if path.is_dir():
            found += _inside(path)
        elif has_magic(name) and not path.is_file() and not is_url(name):
            found += _fitting(name)
        else:
            found.append(name)
    return found


def read_pictures(
    name: str, every: int | None = None, read_video: Callable[[str], Tensor] | None = None
) -> Iterator[NamedPicture | Failure]:
    """The picture of a file or address, the video of a file, or every ``every``-th frame of it, the first included.

    Without ``every`` a video is what ``read_video`` makes of it; without either, every `EVERY`-th frame. What cannot be
    read is a `Failure`, and so is every video without the extra ``video``; frames of a video that breaks off end in
    one.
    """
    try:
        if is_url(name):
            yield NamedPicture(name, decode_image(fetch(name), name))
        elif is_video(name):
            if every is None and read_video is not None:
                yield NamedPicture(name, read_video(name))
            else:
                yield from _frames(name, every or EVERY)
        else:
            yield NamedPicture(name, read_image(name))
    except (ImageError, OSError) as error:
        yield Failure(name, str(error))


def is_file_or_gone(path: Path) -> bool:
    """Of what a folder lists: a file, or a link to one that is gone, which is to be reported; no folder, no pipe."""
    return path.is_file() or not path.exists()


def _inside(folder: Path) -> list[str]:
    known = PICTURE_SUFFIXES.union(VIDEO_SUFFIXES)
    inside = sorted(str(file) for file in folder.iterdir() if file.suffix.lower() in known and is_file_or_gone(file))
    if not inside:
        raise FileNotFoundError(f"no picture in {folder}: looked for {', '.join(sorted(known))}")
    return inside


def _fitting(pattern: str) -> list[str]:
    fitting = sorted(name for name in glob(pattern, recursive=True) if is_file_or_gone(Path(name)))
    if not fitting:
        raise FileNotFoundError(f"no picture {pattern}: no file fits this pattern")
    return fitting


def _frames(name: str, every: int) -> Iterator[NamedPicture]:
    try:
        import av
    except ImportError as error:  # a folder's other files need no PyAV, so this is the video's failure
        raise ImageError(f"cannot read {name}: videos need PyAV: pip install 'uniperceiver[video]'") from error
    try:
        with av.open(name) as container:
            if not container.streams.video:
                raise ImageError(f"{name} has no video stream")
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    image = frame.to_image().rotate(frame.rotation, expand=True)  # phones film lying
                    yield NamedPicture(f"{name}#{number}", torch.from_numpy(np.array(image)).permute(2, 0, 1))
    except av.error.FFmpegError as error:
        raise ImageError(f"the video {name} is broken or of an unknown format: {error}") from error
