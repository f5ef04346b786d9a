"""An allocator that keeps its memory: on a processor much of a large picture's time is page faults of fresh buffers."""

from __future__ import annotations

import ctypes
import os
import sys

KEPT_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),  # buffers of up to so many bytes come from the heap
    "MALLOC_TRIM_THRESHOLD_": str(2**32),  # so much free memory at its end stays with it
    "MALLOC_TOP_PAD_": str(2**26),  # it grows by so much beyond what is asked for
}
"""glibc's settings for a heap that is kept, as the environment of a process that is to be started."""
_NUMBERS = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_TOP_PAD_": -2, "MALLOC_MMAP_THRESHOLD_": -3}
"""The same settings in malloc.h."""
_LARGEST = 2**31 - 1
"""Bytes that `mallopt` takes, a C int."""


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
    accepted = [mallopt(_NUMBERS[name], min(int(size), _LARGEST)) == 1 for name, size in KEPT_HEAP.items()]
    return all(accepted)
