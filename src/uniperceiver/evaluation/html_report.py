"""``report.html``: what evaluation found, for a person, in one file that needs nothing else."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from uniperceiver.evaluation.curves import chart_svg, curves_of
from uniperceiver.evaluation.examples import SMALL_SIDE, Example, Panel
from uniperceiver.evaluation.metric_values import percent
from uniperceiver.evaluation.report import StreamReport
from uniperceiver.evaluation.report_style import STYLE
from uniperceiver.evaluation.training_log import TrainingLogError, read_training_log

PICTURE_BYTES = 3_000_000
"""Of all JPEG pictures together; a third more as text. Streams share them evenly."""
LONGEST_TEXT = 400
"""Characters of a caption, a name, an answer; longer ones are cut."""
LISTED_CLASSES = 200
"""Rows of a table of classes: the worst half and the best half of more."""


def write_html_report(path: Path, model: str, streams: Mapping[str, StreamReport], log: Path) -> None:
    """Write ``report.html``.

    Args:
        path: the file to write.
        model: the checkpoint in words.
        streams: what was found, with examples.
        log: the training's ``log.jsonl``; where there is none, the report says so.
    """
    content = html_report(model, streams, _curves(log), datetime.now(UTC))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def html_report(model: str, streams: Mapping[str, StreamReport], curves: str, date: datetime) -> str:
    """The page as HTML; ``curves`` is the HTML of its section on training."""
    share = PICTURE_BYTES // max(1, len(streams))
    sections = [_section(place, name, stream, share) for place, (name, stream) in enumerate(streams.items(), start=1)]
    links = "".join(f'<li><a href="#stream-{n}">{_text(name)}</a></li>' for n, name in enumerate(streams, start=1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Evaluation of {_text(model)}</title>
<style>
{STYLE}</style>
</head>
<body>
<header><h1>Evaluation</h1>
<p>Model <b>{_text(model)}</b>, {date.strftime("%Y-%m-%d %H:%M")} UTC.</p></header>
<main>
<section><h2>Summary</h2>
{_summary(streams)}
<p class="note">In percent (CIDEr-D times 100). <i>Trivial</i>: what an answer reaches that never looks at the input.
</p>
<nav aria-label="Streams"><ul>{links}<li><a href="#training">training</a></li></ul></nav></section>
{"".join(sections)}
<section id="training"><h2>Training</h2>
{curves}
</section>
</main>
</body>
</html>
"""


def _summary(streams: Mapping[str, StreamReport]) -> str:
    """The main metric of every stream."""
    rows = [
        (
            _text(name),
            _text(stream.task.replace("_", " ")),
            _text(stream.result.main),
            f"<b>{percent(stream.result.metrics[stream.result.main])}</b>",
            _percent_in(stream.result.baselines, stream.result.main),
            _text(f"{stream.result.count} {stream.result.unit}"),
            _text(stream.result.protocol),
        )
        for name, stream in streams.items()
    ]
    return _table(("stream", "task", "metric", "result", "trivial", "measured on", "protocol"), rows, "summary")


def _section(place: int, name: str, stream: StreamReport, share: int) -> str:
    """Everything about one stream; its pictures take at most ``share`` bytes."""
    result = stream.result
    metrics = [
        (_text(metric), percent(value), _percent_in(result.baselines, metric))
        for metric, value in sorted(result.metrics.items(), key=lambda entry: entry[0] != result.main)
    ]
    return f"""<section id="stream-{place}"><h2>{_text(name)}</h2>
<p>{_text(stream.task.replace("_", " "))} on {_text(stream.dataset)}: {result.count} {_text(result.unit)}.
{_text(result.protocol)}</p>
<div class="tables">
<div>{_table(("metric", "result", "trivial"), metrics, "numbers")}<p class="note">{len(metrics)} metrics.</p></div>
{_classes(result.per_class, result.per_class_metric)}</div>
<h3>Examples</h3>
{_examples(stream, share)}
</section>
"""


def _classes(per_class: Mapping[str, float], metric: str) -> str:
    """The results of classes, the worst first; classes without a result last."""
    if not per_class:
        return ""
    ranked = sorted(per_class.items(), key=lambda entry: (math.isnan(entry[1]), entry[1]))
    note = f"{len(ranked)} classes, the worst first."
    if len(ranked) > LISTED_CLASSES:
        half = LISTED_CLASSES // 2
        note = f"The {half} worst and the {half} best of {len(ranked)} classes; report.json has all."
        ranked = ranked[:half] + ranked[-half:]
    rows = [(_text(name), percent(value)) for name, value in ranked]
    table = _table(("class", _text(metric)), rows, "numbers")
    return f'<div>{table}<p class="note">{note}</p></div>'


def _examples(stream: StreamReport, share: int) -> str:
    shown: list[Example] = []
    for example in stream.sheet.examples:
        share -= sum(len(panel.jpeg) for panel in example.panels)
        if share < 0:
            break
        shown.append(example)
    if not shown:
        return '<p class="note">There are none.</p>'
    left_out = len(stream.sheet.examples) - len(shown)
    note = stream.sheet.note + (f" {left_out} are left out to keep this file small." if left_out else "")
    kind = "examples pairs" if any(len(example.panels) > 1 for example in shown) else "examples"
    return f'<p class="note">{_text(note)}</p><div class="{kind}">{"".join(map(_example, shown))}</div>'


def _example(example: Example) -> str:
    verdict = ""
    if example.is_right is not None:
        word = "right" if example.is_right else "wrong"
        verdict = f' <span class="{word}">{word}</span>'
    panels = "".join(_figure(panel) for panel in example.panels)
    facts = "".join(f"<dt>{_text(what)}</dt><dd>{_text(words)}</dd>" for what, words in example.facts)
    return (
        f'<article><h4>{_text(example.heading)}{verdict}</h4><div class="pictures">{panels}</div>'
        f"<dl>{facts}</dl></article>\n"
    )


def _figure(panel: Panel) -> str:
    width, height = panel.size
    data = base64.b64encode(panel.jpeg).decode("ascii")
    small = ' class="small"' if max(panel.size) <= SMALL_SIDE else ""
    caption = f"<figcaption>{_text(panel.caption)}</figcaption>" if panel.caption else ""
    return (
        f'<figure{small}><img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{_text(panel.alt)}">{caption}</figure>'
    )


def _curves(log: Path) -> str:
    """The charts of a training log, or why there are none."""
    try:
        steps = read_training_log(log)
    except TrainingLogError as error:
        return f'<p class="note">No curves: {_text(str(error))}.</p>'
    if not steps:
        return f'<p class="note">No curves: {_text(str(log))} has no step.</p>'
    charts = "".join(f"<figure>{chart_svg(curve)}</figure>" for curve in curves_of(steps))
    return (
        f"<p>{steps[-1].step} steps. Every stream's loss, smoothed (dark) over means of neighbouring steps (light), "
        f'and the learning rate of the decoder.</p><div class="curves">{charts}</div>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str) -> str:
    """A table of cells that are HTML already; the first column heads the rows."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>\n' for row in rows
    )
    table = f'<table class="{kind}"><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table>'
    return f'<div class="wide" tabindex="0">{table}</div>'


def _percent_in(values: Mapping[str, float], name: str) -> str:
    return percent(values[name]) if name in values else ""


def _text(text: str) -> str:
    """Somebody's text as HTML: cut, escaped, without characters that cannot be shown or written."""
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - 1] + "…"
    return escape("".join(character if character.isprintable() else " " for character in text))
