"""Tar shards recognised by their members and file names."""

from __future__ import annotations

import glob
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from uniperceiver.config import WebDatasetConfig, WebDatasetPairsConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.webdataset import BROKEN, PICTURES, expand_shards
from uniperceiver.data.recognition.found import Part, RecognitionError, split_along

MEMBERS = 50
"""Members of a shard that are looked at."""
_NUMBER = re.compile(r"\d+(?=\D*$)")


def is_shard(file: Path) -> bool:
    """Whether a file's name ends as a shard's does."""
    return file.name.lower().endswith((".tar", ".tar.gz", ".tgz"))


def shard_parts(files: Sequence[Path]) -> list[Part]:
    """The data sets in shards; files that differ in their last number alone belong together.

    Raises:
        RecognitionError: shards of neither classes nor texts, or classes without their names.
    """
    groups: dict[str, list[Path]] = {}
    for file in files:
        pattern = str(Path(glob.escape(str(file.parent)), _NUMBER.sub("*", file.name))) if len(files) > 1 else str(file)
        groups.setdefault(pattern, []).append(file)
    return [_part(pattern, members) for pattern, members in groups.items()]


def _part(pattern: str, files: list[Path]) -> Part:
    if len(files) == 1:
        pattern = str(files[0])
    elif len(expand_shards(pattern)) != len(files):
        raise RecognitionError(f"the pattern {pattern} fits more than the shards {files[0]} …: write a configuration")
    suffixes = _suffixes(files[0])
    split = split_along(files[0])
    if "cls" in suffixes:
        config = WebDatasetConfig(pattern, str(_class_names(files[0].parent)))
        return Part(config, files[0], split, config.kind)
    if "txt" in suffixes and suffixes & set(PICTURES):
        pairs = WebDatasetPairsConfig(pattern)
        return Part(pairs, files[0], split, pairs.kind)
    listed = ", ".join(sorted(suffixes)) or "nothing"
    raise RecognitionError(f"{files[0]} holds {listed}: looked for pictures with .cls (classes) or .txt (captions)")


def _suffixes(shard: Path) -> set[str]:
    try:
        with tarfile.open(shard) as tar:
            return {member.name.rpartition(".")[2].lower() for member, _ in zip(tar, range(MEMBERS), strict=False)}
    except BROKEN as error:
        raise DatasetError(f"cannot read the shard {shard}: {error}") from None


def _class_names(folder: Path) -> Path:
    for name in ("classes.txt", "names.txt", "labels.txt"):
        if (folder / name).is_file():
            return folder / name
    raise RecognitionError(
        f"the shards of {folder} hold class numbers: expected their names in classes.txt beside them"
    )
