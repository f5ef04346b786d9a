"""What a training wrote about its steps to ``log.jsonl``, read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


class TrainingLogError(ValueError):
    """A log that cannot be read; the message names the file and the line."""


@dataclass(frozen=True)
class LoggedStep:
    """One line: a step of one stream."""

    step: int
    stream: str
    loss: float
    """nan or infinite where the training was."""
    learning_rate: float
    """Of the decoder."""


def read_training_log(path: Path) -> list[LoggedStep]:
    """The steps in ``log.jsonl``, in order.

    Where a training went on from a checkpoint, the steps it repeated count as in the last run. A last line without its
    end is of a training that is still writing and is left out.

    Raises:
        TrainingLogError: no such file, or a line that is not a step.
    """
    if not path.is_file():
        raise TrainingLogError(f"no training log {path}")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    steps: list[LoggedStep] = []
    kept: set[tuple[int, str]] = set()  # with mixed sampling a step has a line for every stream
    for number, line in enumerate(lines, start=1):
        step = _parsed(line, f"{path}, line {number}")
        is_again = (bool(steps) and step.step < steps[-1].step) or (step.step, step.stream) in kept
        while is_again and steps and steps[-1].step >= step.step:
            gone = steps.pop()
            kept.remove((gone.step, gone.stream))
        kept.add((step.step, step.stream))
        steps.append(step)
    return steps


def _parsed(line: str, place: str) -> LoggedStep:
    try:
        entry = json.loads(line)
        return LoggedStep(int(entry["step"]), str(entry["stream"]), float(entry["loss"]), float(entry["learning_rate"]))
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingLogError(
            f"{place} is not a step of a training ({error!r}): expected JSON with step, stream, loss, learning_rate"
        ) from None
