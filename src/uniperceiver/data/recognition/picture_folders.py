"""Where the pictures that annotations name lie."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from uniperceiver.data.recognition.found import RecognitionError, split_of

SAMPLE = 5
"""Files that are looked for in every folder."""
MOST_FOLDERS = 2000
"""Folders below one that are looked into."""


def picture_folder(annotations: Path, files: Sequence[str]) -> Path:
    """The folder to which ``files`` are relative: that of ``annotations`` or up to two levels below, else from its
    parent on.

    Raises:
        RecognitionError: none holds them, or several do and the names do not decide.
    """
    sample = files[:SAMPLE]
    for top in (annotations.parent, annotations.parent.parent):
        holding = [f for f in _from(top) if sample and all(os.path.isfile(f / file) for file in sample)]
        of_split = [folder for folder in holding if split_of(folder.name) == split_of(annotations.name)]
        found = of_split if len(of_split) == 1 else holding
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(map(str, found))
            raise RecognitionError(
                f"the pictures of {annotations} are in several folders: {listed}; write a configuration"
            )
    first = sample[0] if sample else "any picture"
    raise RecognitionError(
        f"the pictures of {annotations} were not found: looked for {first} in {annotations.parent}, its parent and the "
        "folders up to two levels below"
    )


def folders_near(annotations: Path) -> Iterator[Path]:
    """The folder of a file and those at most two levels below, then the same from its parent on."""
    yield from _from(annotations.parent)
    yield from _from(annotations.parent.parent)


def _from(top: Path) -> Iterator[Path]:
    yield top
    yield from itertools.islice(_below(top, levels=2), MOST_FOLDERS)


def _below(folder: Path, levels: int) -> Iterator[Path]:
    if not levels:
        return
    with os.scandir(folder) as entries:  # says what is a folder without asking for each of 100,000 pictures
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for name in names:
        yield folder / name
        yield from _below(folder / name, levels - 1)
