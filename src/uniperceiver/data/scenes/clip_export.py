"""Clips written to disk in the formats `video_csv` and `video_captions`; frames encoded with PyAV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from uniperceiver.config.scenes import FRAMES_A_SECOND
from uniperceiver.data.datasets.video_files import import_av
from uniperceiver.data.scenes.motion import MOTIONS
from uniperceiver.data.scenes.scene_source import SceneSource


def write_clips(source: SceneSource, part: str, folder: Path) -> list[Path]:
    """Write all clips of a source to ``folder/videos/PART``, and beside these what they are.

    ``motions_PART.csv`` has lines ``PART/NUMBER.mkv,class``, ``motion_captions_PART.jsonl`` a clip with its captions a
    line, and ``classes.txt`` the classes in the order of the embedded data's labels. Frames are lossless (FFV1).

    Returns:
        The list and the captions.

    Raises:
        ImportError: without the extra ``video``.
    """
    (folder / "videos" / part).mkdir(parents=True)
    lines: list[str] = []
    captions: list[str] = []
    for index in range(len(source)):
        clip = source.clip(index)
        file = f"{part}/{index:06d}.mkv"
        encode(source.paint_frames(clip, range(clip.frames)), folder / "videos" / file)
        lines.append(f"{file},{MOTIONS[clip.label]}")
        captions.append(json.dumps({"video": file, "caption": source.motion_captions(index)}))
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in MOTIONS), encoding="utf-8")
    written = [folder / f"motions_{part}.csv", folder / f"motion_captions_{part}.jsonl"]
    for path, rows in zip(written, (lines, captions), strict=True):
        path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return written


def encode(frames: np.ndarray, path: Path) -> None:
    """Write frames (T, H, W, 3) uint8 RGB as a video that loses nothing.

    Raises:
        ImportError: without the extra ``video``.
    """
    av = import_av()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FRAMES_A_SECOND)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
