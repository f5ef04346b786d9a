"""WebDataset shards: tar files in which ``KEY.jpg`` and ``KEY.cls`` or ``KEY.txt`` make one labelled or captioned
picture."""

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

from uniperceiver.config import FoldConfig, WebDatasetConfig, WebDatasetPairsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.yolo import read_class_names
from uniperceiver.data.images import decode_image
from uniperceiver.data.records import CaptionedImage, LabelledImage

PICTURES = ("jpg", "jpeg", "png", "webp")
BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError)
"""What a damaged shard raises; the last two for sizes in a header that no file has."""
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_BLOCK = 512
_LONGEST_NUMBER = 64


class ShardedData:
    """Samples of tar shards, in the order of the shards and of their members.

    Where each sample lies is found once, at opening, so that any record can be read directly. A ``.tar.gz`` shard is
    unpacked into memory when one of its records is read, and kept until another shard's is.

    A fold takes whole shards where there are enough of them, else samples.
    """

    shard_lengths: tuple[int, ...]
    """Records in each shard: those of one shard are best read together."""

    def __init__(self, pattern: str, annotation: str, fold: FoldConfig | None = None) -> None:
        """Walk through the shards once; a sample has a picture and a member that ends in ``.annotation``.

        Raises:
            DatasetError: no shard, a broken one, or one that holds an incomplete sample.
        """
        self.pattern = pattern
        shards = expand_shards(pattern)
        by_shard = fold is not None and len(shards) >= fold.folds
        self.shards = [path for i, path in enumerate(shards) if not by_shard or is_in_fold(i, fold)]
        self._unpacked: tuple[int, bytes] | None = None
        lengths: list[int] = []
        self._rows = JsonRows(self._index(annotation, None if by_shard else fold, lengths))
        self.shard_lengths = tuple(lengths)

    def _index(self, annotation: str, fold: FoldConfig | None, lengths: list[int]) -> Iterator[list[Any]]:
        before = 0
        for number, shard in enumerate(self.shards):
            samples = list(_samples(shard, annotation))
            if not samples:
                raise DatasetError(f"{shard} holds no sample")
            found = [sample for i, sample in enumerate(samples, start=before) if is_in_fold(i, fold)]
            before += len(samples)
            for sample in found:
                yield self.row(shard, number, sample)
            lengths.append(len(found))

    def row(self, shard: Path, number: int, sample: Sample) -> list[Any]:
        """What is kept of a sample of shard ``number``: where it lies."""
        return [number, sample.key, sample.picture, sample.annotation]

    def __len__(self) -> int:
        return len(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_unpacked": None}  # not sent to loading processes

    def member(self, number: int, place: tuple[int, int]) -> bytes:
        """The bytes at ``place``, offset and size, of an unpacked shard."""
        shard, (offset, size) = self.shards[number], place
        if not _is_gzip(shard):
            with shard.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        if self._unpacked is None or self._unpacked[0] != number:
            self._unpacked = (number, gzip.decompress(shard.read_bytes()))
        return self._unpacked[1][offset : offset + size]


class WebDataset(ShardedData):
    """Labelled pictures in tar shards."""

    names: tuple[str, ...]

    def __init__(self, config: WebDatasetConfig) -> None:
        """Walk through the shards once.

        Raises:
            DatasetError: no shard or class names, a broken shard, a sample without picture or class, a class out of
                range.
        """
        self.names = read_class_names(Path(config.classes))
        super().__init__(config.shards, "cls", config.fold)

    def row(self, shard: Path, number: int, sample: Sample) -> list[Any]:
        """Shard, key, place of the picture, class."""
        try:
            label = int(sample.text)
        except ValueError:
            raise DatasetError(
                f"{shard}: {sample.key}.cls should hold a class number, got {sample.text[:40]!r}"
            ) from None
        if not 0 <= label < len(self.names):
            raise DatasetError(f"{shard}: {sample.key}.cls is {label}, but there are {len(self.names)} class names")
        return [number, sample.key, sample.picture, label]

    def __getitem__(self, index: int) -> LabelledImage:
        number, key, picture, label = self._rows[index]
        name = f"{self.shards[number].name}/{key}"
        return LabelledImage(decode_image(self.member(number, picture), name), name, label)

    def __repr__(self) -> str:
        return f"webdataset {self.pattern} ({len(self)} pictures in {len(self.shards)} shards)"


class WebDatasetPairs(ShardedData):
    """Pictures with one caption each in tar shards; captions stay in the shards until they are asked for."""

    def __init__(self, config: WebDatasetPairsConfig) -> None:
        """Walk through the shards once.

        Raises:
            DatasetError: no shard, a broken one, a sample without picture or text.
        """
        super().__init__(config.shards, "txt", config.fold)

    def __getitem__(self, index: int) -> CaptionedImage:
        number, key, picture, _ = self._rows[index]
        name = f"{self.shards[number].name}/{key}"
        return CaptionedImage(decode_image(self.member(number, picture), name), name, (self._caption(index),))

    def texts(self) -> Iterator[str]:
        """Every caption, without decoding a picture."""
        return (self._caption(index) for index in range(len(self)))

    def _caption(self, index: int) -> str:
        number, key, _, place = self._rows[index]
        try:
            caption = self.member(number, place).decode().strip()
        except UnicodeDecodeError:
            raise DatasetError(f"{self.shards[number]}: {key}.txt is not UTF-8") from None
        if not caption:
            raise DatasetError(f"{self.shards[number]}: {key}.txt is empty")
        return caption

    def __repr__(self) -> str:
        return f"webdataset_pairs {self.pattern} ({len(self)} pictures in {len(self.shards)} shards)"


@dataclass
class Sample:
    """One sample of a shard; places are offset and size."""

    key: str
    picture: tuple[int, int] = (0, 0)
    annotation: tuple[int, int] = (0, 0)
    text: bytes = b""
    """The first bytes of the annotation."""
    found: list[str] = field(default_factory=list)


def _samples(shard: Path, annotation: str) -> Iterator[Sample]:
    """The samples of a shard: members whose names agree up to the first dot of the file name, standing together."""
    sample: Sample | None = None
    try:
        with _tar_bytes(shard) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, file_name = member.name.rpartition("/")
                stem, _, kind = file_name.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if sample is not None and sample.key != key:
                    yield _complete(sample, shard, annotation)
                    sample = None
                sample = sample or Sample(key)
                _add(sample, kind.lower(), annotation, member, tar)
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):  # tarfile takes a cut between two members for the end
                raise tarfile.ReadError(f"no end mark at byte {tar.offset}")
    except DatasetError:
        raise
    except BROKEN as error:
        last = f" after sample {sample.key!r}" if sample else ""
        raise DatasetError(f"the shard {shard} is broken{last}: {error}; write or download it again") from error
    if sample is not None:
        yield _complete(sample, shard, annotation)


def _add(sample: Sample, kind: str, annotation: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    place = (member.offset_data, member.size)
    if kind in PICTURES:
        sample.picture = place
        sample.found.append("picture")
    elif kind == annotation:
        sample.annotation = place
        content = tar.extractfile(member)
        sample.text = content.read(_LONGEST_NUMBER) if content is not None else b""
        sample.found.append(annotation)


def _complete(sample: Sample, shard: Path, annotation: str) -> Sample:
    if sorted(sample.found) != sorted([annotation, "picture"]):
        given = " and ".join(f".{part}" if part == annotation else part for part in sample.found) or "neither"
        raise DatasetError(
            f"{shard}: the sample {sample.key!r} needs one .{annotation} and one of .{', .'.join(PICTURES)}; "
            f"it has {given}"
        )
    return sample


def _is_gzip(shard: Path) -> bool:
    return shard.suffix.lower() in {".gz", ".tgz"}


def _tar_bytes(shard: Path) -> BinaryIO:
    return io.BytesIO(gzip.decompress(shard.read_bytes())) if _is_gzip(shard) else shard.open("rb")


def expand_shards(pattern: str) -> list[Path]:
    """The files that a pattern with ``{000..999}`` or ``*`` names, in numeric and alphabetic order.

    A file of that very name comes first, whatever signs are in it.

    Raises:
        DatasetError: a numbered file is missing, or nothing matches.
    """
    if Path(pattern).is_file():
        return [Path(pattern)]
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
