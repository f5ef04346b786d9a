"""Videos with captions: MSR-VTT's JSON, COCO captions JSON of videos, MSVD's CSV, tables and JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from uniperceiver.config import VideoCaptionsConfig
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    filled_text,
    is_in_fold,
    read_json,
    read_json_object,
    require_fields,
    require_id,
)
from uniperceiver.data.datasets.image_text_pairs import read_rows, texts_of
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.video_files import find_video, read_clips
from uniperceiver.data.records import CaptionedVideo

MSVD_COLUMNS = ("VideoID", "Start", "End", "Description")
"""Of MSVD's own table, whose files are ``VideoID_Start_End.avi``; only English texts are read."""
Captions = dict[str, list[str]]
"""Video, as the annotations name it → its captions, in the order in which the videos first occur."""


class VideoCaptions:
    """Videos with captions, in the order of their annotations."""

    def __init__(self, config: VideoCaptionsConfig) -> None:
        """Index the annotations and find the files.

        Raises:
            DatasetError: an unreadable file or one of another layout, an empty caption, a video without one or without
                its file, no video at all.
        """
        self.source, self.sampling = Path(config.annotations), config.sampling
        folder, where = Path(config.videos), str(config.annotations)
        captions = read_video_captions(config)
        rows = ((str(find_video(folder, name, where)), texts) for name, texts in captions.items())
        self._rows = JsonRows(row for index, row in enumerate(rows) if is_in_fold(index, config.fold))
        if not len(self._rows):
            raise DatasetError(f"{self.source} holds no video with a caption")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> CaptionedVideo:
        path, captions = self._rows[index]
        return CaptionedVideo(read_clips(Path(path), self.sampling), path, tuple(captions))

    def texts(self) -> Iterator[str]:
        """Every caption, without decoding a video."""
        for index in range(len(self)):
            yield from self._rows[index][1]

    def __repr__(self) -> str:
        return f"video_captions {self.source} ({len(self)} videos)"


def read_video_captions(config: VideoCaptionsConfig) -> Captions:
    """What is said of which video.

    Raises:
        DatasetError: as `VideoCaptions`.
    """
    source = Path(config.annotations)
    if source.suffix.lower() != ".json":
        if config.split is not None:
            raise DatasetError(f"{source} has no splits: leave out `split` {config.split!r}, or name the split's file")
        return _of_table(source, config.video, config.text)
    if _is_msrvtt(source):
        return _of_msrvtt(source, config.split)
    if config.split is not None:
        raise DatasetError(f"{source} has no splits (`videos` with `split`): leave out `split` {config.split!r}")
    return _of_coco(source)


def _is_msrvtt(source: Path) -> bool:
    content = read_json(source)
    return isinstance(content, dict) and "sentences" in content


def _of_msrvtt(source: Path, split: str | None) -> Captions:
    content = read_json_object(source, "videos", "sentences")
    chosen: Captions = {}
    known = set()
    for position, entry in enumerate(content["videos"]):
        where = f"{source}: videos[{position}]"
        require_fields(entry, where, "video_id")
        require_id(entry, "video_id", where)
        known.add(entry["video_id"])
        if split is None or entry.get("split") == split:
            chosen[str(entry["video_id"])] = []
    if not chosen:
        found = sorted({str(entry.get("split")) for entry in content["videos"]})
        raise DatasetError(f"{source} has no video of the split {split!r}: it has {', '.join(found) or 'no video'}")
    for position, entry in enumerate(content["sentences"]):
        where = f"{source}: sentences[{position}]"
        require_fields(entry, where, "video_id", "caption")
        require_id(entry, "video_id", where)
        if entry["video_id"] not in known:
            raise DatasetError(f"{where} belongs to the video {entry['video_id']}, which the file's videos lack")
        if entry["video_id"] in chosen:
            chosen[entry["video_id"]] += texts_of(entry["caption"], where, "caption")
    return _with_captions(chosen, source)


def _of_coco(source: Path) -> Captions:
    content = read_json_object(source, "images", "annotations")
    files: dict[Any, str] = {}
    for position, entry in enumerate(content["images"]):
        where = f"{source}: images[{position}]"
        require_fields(entry, where, "id", "file_name")
        require_id(entry, "id", where)
        files[entry["id"]] = filled_text(entry, "file_name", where)
    captions: Captions = {file: [] for file in files.values()}
    if len(captions) < len(content["images"]):
        raise DatasetError(f"{source}: two of its videos (`images`) have the same id or file_name")
    for position, entry in enumerate(content["annotations"]):
        where = f"{source}: annotations[{position}]"
        require_fields(entry, where, "image_id", "caption")
        require_id(entry, "image_id", where)
        if entry["image_id"] not in files:
            raise DatasetError(f"{where} belongs to image {entry['image_id']}, which the file's images lack")
        captions[files[entry["image_id"]]] += texts_of(entry["caption"], where, "caption")
    return _with_captions(captions, source)


def _with_captions(captions: Captions, source: Path) -> Captions:
    missing = [name for name, texts in captions.items() if not texts]
    if missing:
        raise DatasetError(f"{source}: {len(missing)} videos have no caption, the first is {missing[0]}")
    return captions


def _of_table(source: Path, video: str, text: str) -> Captions:
    captions: Captions = {}
    for name, given, where, column in _named_rows(read_rows(source), video, text):
        if not name:
            raise DatasetError(f"{where} names no video")
        captions.setdefault(name, []).extend(texts_of(given, where, column))
    return captions


def _named_rows(
    rows: Iterable[tuple[str, dict[str, Any]]], video: str, text: str
) -> Iterator[tuple[str, Any, str, str]]:
    """Video, text, where they stand and the column of the text."""
    for where, row in rows:
        if set(MSVD_COLUMNS) <= set(row):
            if str(row.get("Language", "English")).strip() == "English" and str(row["Description"]).strip():
                yield "_".join(str(row[column]).strip() for column in MSVD_COLUMNS[:3]), row["Description"], where, text
            continue
        missing = [column for column in (video, text) if column not in row]
        if missing:
            raise DatasetError(f"{where} has no {missing[0]!r}: it has {', '.join(map(repr, row))}; name the columns")
        yield str(row[video] or "").strip(), row[text], where, text
