"""A diagnosis on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from uniperceiver.data.doctor.diagnosis import Diagnosis, Finding
from uniperceiver.data.doctor.kinds import Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_LARGE = 2000
"""Image files from which a progress bar is worth while."""
_EXAMPLES = 3


def findings_table(diagnosis: Diagnosis) -> RenderableType:
    """What was looked at, a row for each kind of finding, and the totals."""
    table = Table(show_lines=True)
    table.add_column("code", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("finding, first examples, how to mend it", overflow="fold")
    for finding in diagnosis.findings:
        style = _STYLES[finding.kind.severity]
        table.add_row(
            finding.kind.code, Text(finding.kind.severity.value, style), str(finding.count), _description(finding)
        )
    totals = ", ".join(f"{diagnosis.count(severity)} {severity.value}s" for severity in Severity)
    lines = [Text(line) for line in diagnosis.looked_at]
    if diagnosis.left_alone:
        named = ", ".join(diagnosis.left_alone[:_EXAMPLES])
        lines.append(Text(f"left alone, of no known format: {len(diagnosis.left_alone)} files ({named})"))
    summary = Text(f"{diagnosis.images} images looked at: {totals}")
    return Group(*lines, *([table] if diagnosis.findings else []), summary)


def _description(finding: Finding) -> Text:
    text = Text(finding.kind.title)
    for example in finding.examples[:_EXAMPLES]:
        text.append(f"\n  {example}", "dim")
    if finding.count > _EXAMPLES:
        text.append(f"\n  and {finding.count - _EXAMPLES} more, in {len(finding.files)} files in all", "dim")
    return text.append(f"\n→ {finding.kind.mend}", "green")


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, of `_LARGE` image files or more; call it with the files done and all."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("images", visible=False)

        def show(done: int, total: int) -> None:
            if total >= _LARGE:
                progress.update(task, completed=done, total=total, visible=True)

        yield show
