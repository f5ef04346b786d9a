"""The command line: command name → typed function. Heavy imports wait until a command runs, so ``--help`` is quick."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import typer

from uniperceiver.allocator import keep_heap
from uniperceiver.cli import (
    conversion,
    data,
    evaluation,
    index,
    prediction,
    reproduction,
    scoring,
    serving,
    text_prediction,
    training,
)

app = typer.Typer(
    name="uniperceiver",
    help="Uni-Perceiver v2: one model, one set of weights, every pillar task of vision and language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    evaluation.info,
    training.train,
    training.merge,
    training.demo,
    evaluation.evaluate,
    evaluation.curves,
    reproduction.reproduce,
    prediction.classify,
    prediction.detect,
    prediction.caption,
    prediction.match,
    prediction.answer,
    prediction.fill,
    text_prediction.classify_text,
    prediction.embed,
    serving.serve,
    serving.export,
    serving.pack,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(index.app, name="index")
app.add_typer(scoring.app, name="score")
app.add_typer(conversion.app, name="convert")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. A mistake in what was given ends in one line on stderr and exit code 2.

    With UNIPERCEIVER_TRACEBACK set in the environment the traceback is shown instead.
    """
    keep_heap()
    warnings.formatwarning = _formatted
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal cannot show must not end a long run
    try:
        app(args=None if arguments is None else list(arguments))
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        if os.environ.get("UNIPERCEIVER_TRACEBACK"):
            raise
        sys.stderr.write(f"uniperceiver: {error}\n")
        sys.exit(2)


_PACKAGE = Path(__file__).parents[1]
_OF_PYTHON = warnings.formatwarning


def _formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of this package as one line like its errors; of other packages as Python has it."""
    if category is UserWarning and _PACKAGE in Path(filename).parents:
        return f"uniperceiver: warning: {message}\n"
    return _OF_PYTHON(message, category, filename, lineno, line)
