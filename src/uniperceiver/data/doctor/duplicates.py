"""The same image twice, found by its content: within a split, and in two splits."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Fingerprint, Part


def fingerprint(content: bytes, name: str) -> Fingerprint:
    """Of an image inside a shard."""
    return Fingerprint(name, len(content), _digest(content))


def check_duplicates(parts: Iterable[Part], diagnosis: Diagnosis) -> None:
    """Compare the images of all parts. Only files that are equally long are read."""
    by_size: dict[int, dict[str, tuple[set[str], Path | bytes]]] = defaultdict(dict)
    for part in parts:
        for path in filter(os.path.isfile, part.images):  # not so a link to nothing, which is a finding by itself
            by_size[path.stat().st_size].setdefault(str(path), (set(), path))[0].add(part.split)
        for packed in part.packed:
            by_size[packed.size].setdefault(packed.name, (set(), packed.digest))[0].add(part.split)
    for images in by_size.values():
        for name, (splits, _) in images.items():
            if len(splits) > 1:
                diagnosis.add(Kind.LEAKAGE, name, f"it is in {' and '.join(sorted(splits))}")
        if len(images) > 1:
            _compare(images, diagnosis)


def _compare(images: dict[str, tuple[set[str], Path | bytes]], diagnosis: Diagnosis) -> None:
    """Images of one size in bytes."""
    same: dict[bytes, list[str]] = defaultdict(list)
    for name, (_, content) in images.items():
        same[content if isinstance(content, bytes) else _digest(content.read_bytes())].append(name)
    for names in same.values():
        for first, second in pairwise(names):
            ours, theirs = images[first][0], images[second][0]
            if ours & theirs:
                diagnosis.add(Kind.DUPLICATE_IMAGE, second, f"the same as {first}")
            else:
                said = f"in {' and '.join(sorted(theirs))}; in {' and '.join(sorted(ours))} it is {first}"
                diagnosis.add(Kind.LEAKAGE, second, said)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
