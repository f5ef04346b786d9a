"""The heap is kept, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from uniperceiver.allocator import KEPT_HEAP, keep_heap

PROGRAM = """
import ctypes, resource
from uniperceiver.allocator import keep_heap
kept = keep_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def use():
    size = 50 * 2**20
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
@pytest.mark.parametrize(("environment", "is_set_within"), [({}, "True"), (KEPT_HEAP, "False")])
def test_a_buffer_that_comes_back_faults_no_pages(environment: dict[str, str], is_set_within: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
    kept, faults = done.stdout.split()
    assert kept == is_set_within
    assert int(faults) < 1000  # 64,000 without


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_user_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert not keep_heap()
