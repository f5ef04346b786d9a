"""Files and folders that are there whole or not at all: written under another name beside their own, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def name_while_written(path: Path) -> Path:
    """What a file or folder is called until everything is in it, in the same folder: renaming copies nothing."""
    return path.with_name(f".{path.name}.writing")


def name_while_replaced(folder: Path) -> Path:
    """What a folder is called while another takes its place (`replace_folder`)."""
    return folder.with_name(f".{folder.name}.old")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives the name to write a file under. At the end it is ``path``; after an error ``path`` is as it was."""
    fresh = name_while_written(path)
    yield fresh
    fresh.replace(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and folders that it lies in, so that it is there whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as fresh, fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_folder(fresh: Path, folder: Path) -> None:
    """Rename a folder to ``folder``, which goes if it is there.

    Stopped between the two renames, neither is called ``folder``; the old one is whole as `name_while_replaced`.
    """
    old = name_while_replaced(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    fresh.rename(folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt":
        return  # it opens no folders, and flushes no file opened for reading
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
