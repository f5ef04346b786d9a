"""SIGTERM and SIGINT: a training that is asked to stop ends its step, writes its checkpoint, and says so."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from uniperceiver.distributed import rank


class Interrupted(SystemExit):
    """A training that stopped because it was asked to, its checkpoint written.

    It says so on stderr. ``code`` is 128 + the signal's number, as a shell reports a process that a signal ended: 143
    for SIGTERM, 130 for SIGINT.
    """

    def __init__(self, number: int, step: int, checkpoint: Path) -> None:
        super().__init__(128 + number)
        name = signal.Signals(number).name
        if rank() == 0:
            sys.stderr.write(f"{name}: stopped after step {step}; {checkpoint} is written, go on with --resume\n")


class StopRequest:
    """Whether a signal has asked this process to stop."""

    def __init__(self) -> None:
        self.number = 0
        """Of the signal; 0: none has come."""

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal. A second SIGINT ends the process at once, as Ctrl-C does elsewhere."""
        if number == signal.SIGINT and self.number:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def noticing_signals() -> Iterator[StopRequest]:
    """Within it SIGTERM and SIGINT are noted instead of ending the process; afterwards they do as before.

    Outside the main thread, where Python allows no handlers, nothing is noted.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {number: signal.signal(number, request.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
