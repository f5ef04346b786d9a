"""WebDataset shards: tar files in which ``KEY.jpg`` and ``KEY.cls`` make one labelled picture."""

from __future__ import annotations

import glob
import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from uniperceiver.config import WebDatasetConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.images import decode_image
from uniperceiver.data.records import LabelledImage

PICTURES = ("jpg", "jpeg", "png", "webp")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error)
_BLOCK = 512


class WebDataset:
    """Labelled pictures in tar shards, in the order of the shards and of their members.

    Where each picture lies is found once, at opening, so that any record can be read directly. A ``.tar.gz`` shard is
    unpacked into memory when one of its records is read, and kept until another shard's is.
    """

    names: tuple[str, ...]
    shard_lengths: tuple[int, ...]
    """Records in each shard: those of one shard are best read together."""

    def __init__(self, config: WebDatasetConfig) -> None:
        """Walk through the shards once.

        Raises:
            DatasetError: no shard or class names, a broken shard, a sample without picture or class, a class out of
                range.
        """
        self.pattern = config.shards
        self.names = _class_names(Path(config.classes))
        self.shards = expand_shards(config.shards)
        self._unpacked: tuple[int, bytes] | None = None
        lengths: list[int] = []
        self._rows = JsonRows(self._index(lengths))
        self.shard_lengths = tuple(lengths)

    def _index(self, lengths: list[int]) -> Iterator[tuple[int, str, int, int, int]]:
        for number, shard in enumerate(self.shards):
            length = 0
            for sample in _samples(shard):
                if not 0 <= sample.label < len(self.names):
                    raise DatasetError(
                        f"{shard}: {sample.key}.cls is {sample.label}, but there are {len(self.names)} class names"
                    )
                length += 1
                yield number, sample.key, sample.offset, sample.size, sample.label
            if not length:
                raise DatasetError(f"{shard} holds no sample")
            lengths.append(length)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LabelledImage:
        number, key, offset, size, label = self._rows[index]
        name = f"{self.shards[number].name}/{key}"
        return LabelledImage(decode_image(self._read(number, offset, size), name), name, label)

    def __repr__(self) -> str:
        return f"webdataset {self.pattern} ({len(self)} pictures in {len(self.shards)} shards)"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_unpacked": None}  # not sent to loading processes

    def _read(self, number: int, offset: int, size: int) -> bytes:
        shard = self.shards[number]
        if not _is_gzip(shard):
            with shard.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        if self._unpacked is None or self._unpacked[0] != number:
            self._unpacked = (number, gzip.decompress(shard.read_bytes()))
        return self._unpacked[1][offset : offset + size]


@dataclass
class _Sample:
    key: str
    offset: int = -1
    size: int = 0
    label: int = -1
    found: list[str] = field(default_factory=list)


def _samples(shard: Path) -> Iterator[_Sample]:
    """The samples of a shard: members whose names agree up to the first dot of the file name, standing together."""
    sample: _Sample | None = None
    try:
        with _tar_bytes(shard) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, file_name = member.name.rpartition("/")
                stem, _, kind = file_name.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if sample is not None and sample.key != key:
                    yield _complete(sample, shard)
                    sample = None
                sample = sample or _Sample(key)
                _add(sample, kind.lower(), member, tar, shard)
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):  # tarfile takes a cut between two members for the end
                raise tarfile.ReadError(f"no end mark at byte {tar.offset}")
    except _BROKEN as error:
        last = f" after sample {sample.key!r}" if sample else ""
        raise DatasetError(f"the shard {shard} is broken{last}: {error}; write or download it again") from error
    if sample is not None:
        yield _complete(sample, shard)


def _add(sample: _Sample, kind: str, member: tarfile.TarInfo, tar: tarfile.TarFile, shard: Path) -> None:
    if kind in PICTURES:
        sample.offset, sample.size = member.offset_data, member.size
        sample.found.append("picture")
    elif kind == "cls":
        content = tar.extractfile(member)
        text = content.read() if content is not None else b""
        try:
            sample.label = int(text)
        except ValueError:
            raise DatasetError(f"{shard}: {member.name} should hold a class number, got {text[:40]!r}") from None
        sample.found.append("class")


def _complete(sample: _Sample, shard: Path) -> _Sample:
    if sorted(sample.found) != ["class", "picture"]:
        given = " and ".join(sample.found) or "neither"
        raise DatasetError(
            f"{shard}: the sample {sample.key!r} needs one .cls and one of .{', .'.join(PICTURES)}; it has {given}"
        )
    return sample


def _is_gzip(shard: Path) -> bool:
    return shard.suffix in {".gz", ".tgz"}


def _tar_bytes(shard: Path) -> BinaryIO:
    return io.BytesIO(gzip.decompress(shard.read_bytes())) if _is_gzip(shard) else shard.open("rb")


def expand_shards(pattern: str) -> list[Path]:
    """The files that a pattern with ``{000..999}`` or ``*`` names, in numeric and alphabetic order.

    Raises:
        DatasetError: a numbered file is missing, or nothing matches.
    """
    match = _BRACES.search(pattern)
    if match is not None:
        first, last = match[1], match[2]
        numbers = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        return [path for n in numbers for path in expand_shards(pattern[: match.start()] + n + pattern[match.end() :])]
    found = sorted(map(Path, glob.glob(pattern))) if set(pattern) & set("*?[") else [Path(pattern)]
    missing = [path for path in found if not path.is_file()]
    if missing or not found:
        absent = missing[0] if missing else pattern
        raise DatasetError(f"no shard {absent}: `shards` should name a file, or several with * or {{000..999}}")
    return found


def _class_names(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetError(f"cannot read the class names {path}: {error.strerror}") from None
    names = tuple(line.strip() for line in lines)
    if not names or not all(names):
        raise DatasetError(f"{path} should hold one class name a line, without blank lines")
    return names
