"""Videos with a class, listed as Kinetics lists them or as lines ``path class``; frames decoded with PyAV."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from uniperceiver.config import VideoCsvConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold, read_text
from uniperceiver.data.datasets.image_list import LONGEST_NUMBER
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.video_files import find_video, read_clips
from uniperceiver.data.datasets.yolo import read_class_names
from uniperceiver.data.images import VIDEO_SUFFIXES
from uniperceiver.data.records import LabelledVideo

LARGEST_LIST = 2**28
"""Bytes of a list of videos; Kinetics-700's has 30 MB."""
KINETICS_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


class VideoCsv:
    """Videos with a class, in the order of the list."""

    names: tuple[str, ...]

    def __init__(self, config: VideoCsvConfig) -> None:
        """Index the list and find the files.

        Raises:
            DatasetError: an unreadable or empty list, a line of another form, a class without a name, a missing video.
        """
        self.source, self.folder = Path(config.annotations), Path(config.videos)
        self.sampling = config.sampling
        listed = list(read_video_list(self.source, self.folder))
        if not listed:
            raise DatasetError(f"{self.source} lists no video")
        if config.classes is not None:
            self.names = read_class_names(Path(config.classes))
        elif all(name.isdecimal() for _, _, name in listed):
            raise DatasetError(f"{self.source} gives classes as numbers: name a file of class names as `classes`")
        else:
            self.names = tuple(sorted({name for _, _, name in listed}))
        rows = ((str(path), self._label(name, where)) for where, path, name in listed)
        self._rows = JsonRows(row for index, row in enumerate(rows) if is_in_fold(index, config.fold))

    def _label(self, name: str, where: str) -> int:
        for spelling in (name, name.replace("_", " ")):  # folders of Kinetics have no blanks
            if spelling in self.names:
                return self.names.index(spelling)
        if name.isdecimal() and len(name) <= LONGEST_NUMBER and int(name) < len(self.names):
            return int(name)
        raise DatasetError(f"{where} has the class {name[:60]!r}, which is not among the {len(self.names)} class names")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledVideo:
        path, label = self._rows[index]
        return LabelledVideo(read_clips(Path(path), self.sampling), path, label)

    def __repr__(self) -> str:
        return f"video_csv {self.source} ({len(self)} videos, {len(self.names)} classes)"


def read_video_list(source: Path, folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Where it stands, the file and the class of every video of a list.

    Raises:
        DatasetError: as `VideoCsv`.
    """
    lines = read_text(source, LARGEST_LIST).splitlines()
    if lines and is_of_kinetics(lines[0]):
        yield from _kinetics(lines, source, folder)
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{source}, line {number}"
        path, name = _path_and_class(line, where)
        yield where, find_video(folder, path, where), name


def is_of_kinetics(header: str) -> bool:
    """Whether the first line of a list has the columns of Kinetics' CSV."""
    return set(KINETICS_COLUMNS[:2]) <= {name.strip().strip('"').strip() for name in header.split(",")}


def _path_and_class(line: str, where: str) -> tuple[str, str]:
    try:
        fields = next(csv.reader([line])) if "," in line else shlex.split(line)
    except (ValueError, csv.Error) as error:
        raise DatasetError(f"{where}: {error}") from None
    if len(fields) != 2 or not all(field.strip() for field in fields):
        raise DatasetError(f"{where}: expected a path and a class, got {line[:60]!r}")
    return fields[0].strip(), fields[1].strip()


def _kinetics(lines: list[str], source: Path, folder: Path) -> Iterator[tuple[str, Path, str]]:
    for number, row in enumerate(_dictionaries(lines, source), start=2):
        where = f"{source}, line {number}"
        label, video = row.get("label"), row.get("youtube_id")
        if not label or not video:
            raise DatasetError(f"{where} lacks its label or youtube_id")
        yield where, _kinetics_file(folder, label, video, row, where), label


def _dictionaries(lines: list[str], source: Path) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(lines)
    try:
        yield from reader
    except csv.Error as error:
        raise DatasetError(f"{source}, line {reader.line_num}: {error}") from None


def _kinetics_file(folder: Path, label: str, video: str, row: dict[str, str], where: str) -> Path:
    stems = [video]
    start, end = row.get("time_start") or "", row.get("time_end") or ""
    if start.isdecimal() and end.isdecimal() and max(len(start), len(end)) <= LONGEST_NUMBER:
        stems.insert(0, f"{video}_{int(start):06d}_{int(end):06d}")
    for parent in (folder / label, folder / label.replace(" ", "_"), folder):
        for stem in stems:
            for suffix in VIDEO_SUFFIXES:
                if os.path.isfile(parent / f"{stem}{suffix}"):
                    return parent / f"{stem}{suffix}"
    raise DatasetError(f"{where} needs the video {stems[0]}.mp4 in {folder} or {folder / label}; neither has it")
