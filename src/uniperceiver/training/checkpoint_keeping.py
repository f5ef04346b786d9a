"""Which checkpoints of a training stay on disk: the newest, the last k, and the best by a metric.

======================  =====================================================================
``checkpoint``          the newest: what ``--resume`` goes on from
``kept/step-00000400``  the last ``keep_last``, when that is above 1
``best``                the one with the best ``keep_best``
======================  =====================================================================
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

from uniperceiver.atomic_files import name_while_written, replace_folder
from uniperceiver.checkpoint import BestSoFar

NEWEST, BEST, KEPT = "checkpoint", "best", "kept"


def keep_last(folder: Path, step: int, number: int) -> None:
    """Keep the newest checkpoint of ``folder``, written after ``step`` steps, among the last ``number``."""
    if number == 1:
        return
    copy_checkpoint(folder / NEWEST, folder / KEPT / f"step-{step:08d}")
    kept = sorted((folder / KEPT).glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    for old in kept[:-number]:
        shutil.rmtree(old)


def keep_best(folder: Path) -> None:
    """Keep the newest checkpoint of ``folder`` as the best."""
    copy_checkpoint(folder / NEWEST, folder / BEST)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Another name for a checkpoint, which costs no room where the file system has hard links.

    Checkpoints are replaced and never written into, so names may share files. ``target`` is whole at every moment but
    the one between two renames; an older one there is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = name_while_written(target)
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh, copy_function=_link)
    replace_folder(fresh, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def after_evaluation(best: BestSoFar | None, value: float, step: int) -> BestSoFar:
    """The best so far when an evaluation after ``step`` steps gave ``value``. Larger is better; NaN never is."""
    if best is None or value > best.value or math.isnan(best.value):
        return BestSoFar(value, step, 0)
    return BestSoFar(best.value, best.step, best.misses + 1)
