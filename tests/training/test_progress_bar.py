from __future__ import annotations

import io

from rich.console import Console

from uniperceiver.training.metrics_log import StepReport
from uniperceiver.training.progress_bar import ProgressBar


def test_the_bar_says_how_far_the_training_is() -> None:
    out = io.StringIO()
    bar = ProgressBar(Console(file=out, force_terminal=True, width=100))
    bar.step(StepReport(7, "objects", {}, 0.0, 0.0, 0.0, 1, 1.0, 7.0), 0.25)
    bar.close()
    assert "25%" in out.getvalue()
    assert "step 7" in out.getvalue()
