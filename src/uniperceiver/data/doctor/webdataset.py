"""WebDataset shards: tar files whose members of one key make a sample."""

from __future__ import annotations

import gzip
import re
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from uniperceiver.data.datasets.image_list import LONGEST_NUMBER
from uniperceiver.data.datasets.webdataset import BROKEN, PICTURES
from uniperceiver.data.doctor.class_lists import find_names
from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.duplicates import fingerprint
from uniperceiver.data.doctor.image_files import check_packed_image
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part, split_of
from uniperceiver.data.doctor.texts import TextCheck

SHARD_ENDINGS = (".tar", ".tar.gz", ".tgz")
_LABELS = frozenset({"cls", "txt", "json", "caption", "text"})


def check_shards(root: Path, shards: Sequence[Path], decode: bool, diagnosis: Diagnosis) -> list[Part]:
    """Look at every member of every shard."""
    _check_numbers(shards, diagnosis)
    found = find_names(root, diagnosis)
    names = found[1] if found is not None else {}
    parts: dict[str, Part] = {}
    keys: dict[str, set[str]] = defaultdict(set)
    for shard in shards:
        split = split_of(shard, root)
        part = parts.setdefault(split, Part("WebDataset", shard, split, names=names))
        _check_shard(shard, part, keys[split], decode, diagnosis)
    return list(parts.values())


def _check_numbers(shards: Sequence[Path], diagnosis: Diagnosis) -> None:
    """Numbers that a series of names leaves out."""
    series: dict[tuple[Path, str], list[int]] = defaultdict(list)
    for shard in shards:
        found = re.fullmatch(r"(.*?)(\d+)(\.\w+)+", shard.name)
        if found is not None:
            series[shard.parent, found[1]].append(int(found[2]))
    for (folder, stem), numbers in series.items():
        for number in sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers)):
            diagnosis.add(Kind.MISSING_SHARD, folder, f"{stem}… number {number}")


def _check_shard(shard: Path, part: Part, keys: set[str], decode: bool, diagnosis: Diagnosis) -> None:
    texts = TextCheck(shard, diagnosis)
    samples: dict[str, set[str]] = {}
    try:
        with shard.open("rb") as raw:
            file = gzip.GzipFile(fileobj=raw) if shard.suffix.lower() in {".gz", ".tgz"} else raw
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is None:
                        continue
                    key, kind = _split_name(member.name)
                    _look_at(content.read(), f"{shard}/{member.name}", kind, part, texts, decode, diagnosis)
                    if kind in samples.setdefault(key, set()):
                        diagnosis.add(Kind.REPEATED_KEY, shard, f"{key}.{kind}")
                    samples[key].add(kind)
                file.seek(tar.offset)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    diagnosis.add(Kind.BROKEN_SHARD, shard, "it has no end mark: cut between two members")
    except BROKEN as error:
        diagnosis.add(Kind.BROKEN_SHARD, shard, str(error))
    for key in sorted(keys & set(samples)):
        diagnosis.add(Kind.REPEATED_KEY, shard, f"{key} is in an earlier shard")
    keys |= set(samples)
    for key, kinds in samples.items():
        part.records += 1
        if not kinds & set(PICTURES) or not kinds & _LABELS:
            diagnosis.add(Kind.INCOMPLETE_SAMPLE, shard, f"{key} has {', '.join(sorted(kinds))}")
    texts.finish()


def _split_name(name: str) -> tuple[str, str]:
    """Key and kind of a member: the file name is cut at its first dot."""
    folder, _, file_name = name.rpartition("/")
    stem, _, kind = file_name.partition(".")
    return f"{folder}/{stem}" if folder else stem, kind.lower()


def _look_at(
    content: bytes, name: str, kind: str, part: Part, texts: TextCheck, decode: bool, diagnosis: Diagnosis
) -> None:
    if kind in PICTURES:
        part.packed.append(fingerprint(content, name))
        check_packed_image(content, name, decode, diagnosis)
    elif kind == "cls":
        text = content.strip()
        if text.isdigit() and len(text) <= LONGEST_NUMBER:
            part.examples[int(text)] += 1
            if part.names and int(text) not in part.names:
                diagnosis.add(Kind.CLASS_BEYOND_NAMES, name, f"class {int(text)} of {len(part.names)}")
        else:
            diagnosis.add(Kind.BAD_ENTRY, name, f"a class number is wanted, not {content[:40]!r}")
    elif kind in {"txt", "caption", "text"}:
        try:
            texts.look_at(content.decode("utf-8"), name)
        except UnicodeDecodeError as error:
            diagnosis.add(Kind.NOT_UTF8, name, f"byte {content[error.start]:#04x}")
