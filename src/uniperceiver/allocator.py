"""An allocator that keeps its memory: on a processor much of a large picture's time is page faults of fresh buffers."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of glibc's settings in malloc.h."""
KEPT = 2**31 - 1
"""Bytes: free memory up to this is kept, and buffers up to this come from it."""
GROWTH = 2**26
"""Bytes by which the heap grows beyond what is asked for."""


def keep_heap() -> bool:
    """Let glibc keep freed memory for the next buffers of this process; whether it does now.

    The memory of the largest step stays with the process, in exchange for the time to fetch it page by page again and
    again. The command line does so; a program that uses the library decides for itself. Settings of the user
    (``MALLOC_…_`` or ``GLIBC_TUNABLES`` in the environment) are left alone, and so are other C libraries.
    """
    is_set = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if is_set or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    settings = ((_MMAP_THRESHOLD, KEPT), (_TRIM_THRESHOLD, KEPT), (_TOP_PAD, GROWTH))
    accepted = [mallopt(name, value) == 1 for name, value in settings]
    return all(accepted)
