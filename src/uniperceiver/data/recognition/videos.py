"""Where the videos that annotations name lie."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from uniperceiver.config import FrameSamplingConfig, VideoCaptionsConfig
from uniperceiver.data.datasets.video_captions import read_video_captions
from uniperceiver.data.datasets.video_files import ENDINGS
from uniperceiver.data.images import VIDEO_SUFFIXES, is_video
from uniperceiver.data.recognition.found import Part, RecognitionError, Split
from uniperceiver.data.recognition.picture_folders import SAMPLE, folders_near

OF_KINETICS = FrameSamplingConfig(frames=8, stride=32)
"""v1's sampling of Kinetics; of other lists of videos, which may last a second, it would show little."""
OF_CAPTIONS = FrameSamplingConfig(frames=4, stride=32)
"""The same of MSVD and MSR-VTT."""


def video_captions_part(config: VideoCaptionsConfig, split: Split | None) -> Part:
    """Captions of videos, with the folder that holds these in place of ``config.videos``.

    Raises:
        RecognitionError: none near the annotations does.
        DatasetError: the annotations are broken.
    """
    file = Path(config.annotations)
    folder = _folder_of(file, itertools.islice(read_video_captions(config), SAMPLE))
    return Part(replace(config, videos=str(folder)), file, split, config.kind)


def _folder_of(file: Path, names: Iterable[str]) -> Path:
    sample = list(names)
    for folder in folders_near(file):
        if all(any(os.path.isfile(folder / f"{name}{end}") for end in ENDINGS) for name in sample):
            return folder
    raise RecognitionError(
        f"the videos of {file} were not found: looked for {', '.join(sample[:1])} ({', '.join(VIDEO_SUFFIXES)}) in "
        f"{file.parent}, its parent and the folders up to two levels below"
    )


def folder_of_videos(file: Path) -> Path:
    """The folder near a list of videos that holds some, also in folders of classes below it.

    Raises:
        RecognitionError: there is none.
    """
    for folder in (file.parent / "videos", file.parent / file.stem, file.parent, *sorted(file.parent.glob("*"))):
        if folder.is_dir() and any(is_video(path) for path in folder.glob("**/*")):
            return folder
    raise RecognitionError(f"{file} lists videos, but near it is no folder with {', '.join(VIDEO_SUFFIXES)} files")
