"""A bar that says how much of a training is done and how long the rest takes."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from uniperceiver.training.metrics_log import StepReport


class ProgressBar:
    """Follows the steps; lines printed meanwhile appear above it. Nothing but its end is written where no terminal is.

    Rank 0 owns the only one.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("step {task.fields[step]}"),
            TimeElapsedColumn(),
            TextColumn("of which left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("training", total=1.0, step=0)
        self._bar.start()

    def step(self, report: StepReport, progress: float) -> None:
        """Move on; ``progress`` in (0, 1] is the part of the training that is done."""
        self._bar.update(self._task, completed=progress, step=report.step)

    def close(self) -> None:
        """Leave the bar as it is and give the terminal back."""
        self._bar.stop()
