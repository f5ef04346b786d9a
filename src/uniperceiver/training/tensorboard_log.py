"""Every step as scalars for TensorBoard, an optional package."""

from __future__ import annotations

from pathlib import Path

from uniperceiver.training.metrics_log import StepReport, peak_memory_gb


class TensorBoardLog:
    """Writes the scalars of every step; those of a stream under its name. Rank 0 owns the only one."""

    def __init__(self, folder: Path, done: int) -> None:
        """``folder`` takes the event files; ``done`` are the steps done so far: what it holds of later ones is void.

        Raises:
            ImportError: TensorBoard is not installed; says how to install it.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                f"--tensorboard needs TensorBoard: pip install 'uniperceiver[log]' or pip install tensorboard ({error})"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=done + 1)

    def step(self, report: StepReport, progress: float) -> None:
        """Record a step; ``progress`` in (0, 1] is the part of the training that is done."""
        own = {
            **report.losses,
            "loss": report.loss,
            "gradient_norm": report.gradient_norm,
            "examples_per_second": report.examples / max(report.seconds, 1e-9),
        }
        common = {"learning_rate": report.learning_rate, "memory_gb": peak_memory_gb(), "progress": progress}
        for folder, scalars in ((report.stream, own), ("training", common)):
            for name, value in scalars.items():
                self._writer.add_scalar(f"{folder}/{name}", value, report.step)

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
