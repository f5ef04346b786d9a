"""One training at a time writes into a folder."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uniperceiver.distributed import rank

LOCK = ".lock"
"""A file that says which process trained last; whether one still does, only the system's lock on it tells."""
_FAR = 2**30
"""The byte that is locked: beyond the text, which Windows would not let others read."""


class FolderInUseError(OSError):
    """Another process trains into the folder; the message names both."""


@contextmanager
def folder_in_use(folder: Path) -> Iterator[None]:
    """Within it no other process can enter for this folder, which is made if it is not there.

    The lock is the system's: it goes with its process, however that ends, and the processes that load batches do not
    inherit it. Of processes that train together the first holds it for all.

    Raises:
        FolderInUseError: another process is within.
        NotADirectoryError: the folder, or one that it should lie in, is a file.
        OSError: it cannot be made or written to.
    """
    if rank() != 0:
        yield
        return
    _make(folder)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise FolderInUseError(
                f"{folder} is in use by {file.read(200).strip() or 'another process'}, which trains into it: wait for "
                "its end, stop it, or choose another --out"
            ) from None
        except OSError as error:
            warnings.warn(f"{folder} does not keep another training from writing to it ({error})", stacklevel=3)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next(path for path in (folder, *folder.parents) if path.exists())
        raise NotADirectoryError(f"--out {folder} cannot be a folder: {file} is a file; choose another --out") from None


def _lock(file: int) -> None:
    """Lock a byte of an open file, or fail at once; closing the file gives it free."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _FAR)
