"""What a training says while it runs: a line a person reads, and JSON lines that a program reads."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class StepReport:
    """One optimiser step, as it was for one stream; with mixed sampling a step has a report for every stream."""

    step: int
    stream: str
    losses: dict[str, float]
    """The task's losses by name."""
    loss: float
    """Their sum."""
    gradient_norm: float
    """Before normalising or clipping."""
    learning_rate: float
    """Of the decoder."""
    examples: int
    """Records of the stream in the step, all ranks."""
    seconds: float = 0.0
    """Duration of the step, loading included; with mixed sampling, shared out evenly among the streams."""
    elapsed: float = 0.0
    """Seconds since the training began, interrupted parts included."""

    def timed(self, seconds: float, elapsed: float) -> StepReport:
        """The report with its times, which are known when the step is over on all processes."""
        return replace(self, seconds=seconds, elapsed=elapsed)


class MetricsLog:
    """Appends every step to ``log.jsonl`` and prints a line every ``every`` steps. Rank 0 owns the only one."""

    def __init__(self, folder: Path, every: int, console: Console | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "log.jsonl").open("a", encoding="utf-8")
        self._every = every
        self._console = console or Console(highlight=False)
        self._recent: deque[StepReport] = deque(maxlen=every)

    def step(self, report: StepReport, progress: float) -> None:
        """Record a step; ``progress`` in (0, 1] is the part of the training that is done."""
        record = asdict(report) | {"memory_gb": round(peak_memory_gb(), 3), "time": round(time.time(), 3)}
        self._file.write(json.dumps(record) + "\n")
        self._recent.append(report)
        if report.step % self._every == 0 or report.step == 1 or progress >= 1:
            self._file.flush()
            self._console.print(self._line(report, progress))

    def _line(self, report: StepReport, progress: float) -> str:
        rate = sum(r.examples for r in self._recent) / max(sum(r.seconds for r in self._recent), 1e-9)
        left = report.elapsed * (1 - progress) / max(progress, 1e-9)
        parts = " ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        return (
            f"step {report.step:>6} {progress:4.0%} {report.stream:<14} loss {report.loss:.3f} ({parts}) "
            f"norm {report.gradient_norm:.1f} lr {report.learning_rate:.1e} {rate:.1f} ex/s "
            f"{peak_memory_gb():.1f} GB {_clock(left)} left"
        )

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far, in GiB; 0 on Windows, where Python cannot tell."""
    if sys.platform == "win32":
        return 0.0
    import resource  # Unix has it, Windows does not

    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
