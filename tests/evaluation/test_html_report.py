from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from uniperceiver.evaluation.examples import Example, ExampleSheet, panel, picture_of
from uniperceiver.evaluation.html_report import PICTURE_BYTES, html_report, write_html_report
from uniperceiver.evaluation.report import StreamReport
from uniperceiver.evaluation.scoring import EvaluationResult

HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(1)>&amp;\x00\ud800\u202e]]>"
DATE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
VOID = {"meta", "img", "rect", "path", "circle", "polyline", "br"}


class Page(HTMLParser):
    """Checks that elements are closed in order; keeps tags, attributes and text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def assert_refers_to_nothing_outside(page: Page) -> None:
    """Links go to places in the page, pictures are in it, nothing runs."""
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    places = {attributes.get("id") for _, attributes in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"srcset", "style", "action"}]
        assert str(attributes.get("src", "data:image/jpeg;base64,")).startswith("data:image/jpeg;base64,")
        href = attributes.get("href")
        assert href is None or (href[0] == "#" and href[1:] in places)
        assert tag != "img" or attributes["alt"]
    styles = " ".join(page.words)
    assert "url(" not in styles
    assert "@import" not in styles


def stream(sheet: ExampleSheet | None = None, name: str = "cat", **per_class: float) -> StreamReport:
    result = EvaluationResult(
        metrics={"top5": 0.9, "top1": 0.5},
        baselines={"top1": 0.1},
        main="top1",
        count=80,
        unit="images",
        protocol=f"Accuracy of {name}.",
        per_class=per_class or {name: 0.25, "dog": float("nan")},
        per_class_metric="top1",
    )
    return StreamReport("classification", f"data of {name}", result, sheet or ExampleSheet())


def picture(side: int = 40) -> torch.Tensor:
    return torch.randint(0, 255, (3, side, side), dtype=torch.uint8)


def sheet(text: str, number: int = 3, side: int = 40) -> ExampleSheet:
    panels = (panel(picture_of(picture(side)), text, text),)
    verdicts = [True, False, None]
    return ExampleSheet(
        tuple(Example(text, verdicts[n % 3], (("people", text), ("model", text)), panels) for n in range(number)), text
    )


def test_summary_sections_and_examples() -> None:
    page = Page(html_report("tiny", {"pets": stream(sheet("a cat")), "none": stream()}, "<p>curves</p>", DATE))
    assert_refers_to_nothing_outside(page)
    for expected in ("tiny", "2026-01-02 03:04", "80 images", "50.0", "10.0", "25.0", "–", "a cat", "right", "wrong"):
        assert expected in page.text, expected
    assert "There are none." in page.text
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert ("html", {"lang": "en"}) in page.elements


def test_main_metric_comes_first() -> None:
    text = Page(html_report("tiny", {"pets": stream()}, "", DATE)).text
    assert text.index("top1") < text.index("top5")


def test_hostile_texts_stay_texts() -> None:
    content = html_report(HOSTILE, {HOSTILE: stream(sheet(HOSTILE), HOSTILE)}, "", DATE)
    page = Page(content)
    assert_refers_to_nothing_outside(page)
    assert "<script>alert(1)</script>" in page.text  # as words
    content.encode("utf-8")
    assert not set("\x00\u202e") & set(content)


def test_long_texts_are_cut() -> None:
    content = html_report("tiny", {"pets": stream(sheet("<" * 100_000))}, "", DATE)
    assert len(content) < 50_000
    Page(content)


def test_many_classes_are_cut_to_the_worst_and_the_best() -> None:
    classes = {f"class{n}": n / 1000 for n in range(1000)}
    text = Page(html_report("tiny", {"pets": stream(**classes)}, "", DATE)).text
    for name, is_listed in {
        "class0": True,
        "class99": True,
        "class100": False,
        "class899": False,
        "class900": True,
    }.items():
        assert (f"{name} " in text) == is_listed
    assert "of 1000 classes" in text


def test_the_size_is_bounded_however_many_streams_there_are() -> None:
    streams = {f"stream {n}": stream(sheet("noise", 12, 320)) for n in range(12)}
    content = html_report("tiny", streams, "", DATE)
    assert len(content) < 5_000_000
    assert len(content) > PICTURE_BYTES
    page = Page(content)
    assert sum(tag == "img" for tag, _ in page.elements) < 12 * 12
    assert "left out to keep this file small" in page.text


def write_log(path: Path) -> None:
    rows = [{"step": n, "stream": ["<pets>", "text"][n % 2], "loss": 1 / n, "learning_rate": 0.1} for n in range(1, 40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_curves_come_from_the_log(tmp_path: Path) -> None:
    write_log(tmp_path / "log.jsonl")
    write_html_report(tmp_path / "new" / "report.html", "tiny", {"pets": stream()}, tmp_path / "log.jsonl")
    page = Page((tmp_path / "new" / "report.html").read_text(encoding="utf-8"))
    assert_refers_to_nothing_outside(page)
    labels = [attributes["aria-label"] for tag, attributes in page.elements if tag == "svg"]
    assert [str(label).split(",")[0] for label in labels] == ["text: loss", "<pets>: loss", "learning rate"]


@pytest.mark.parametrize(
    ("log", "message"), [(None, "no training log"), ("", "has no step"), ("{}\n", "line 1 is not a step")]
)
def test_a_log_that_is_missing_empty_or_broken_is_named(log: str | None, message: str, tmp_path: Path) -> None:
    if log is not None:
        (tmp_path / "log.jsonl").write_text(log)
    write_html_report(tmp_path / "report.html", "tiny", {"pets": stream()}, tmp_path / "log.jsonl")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No curves:" in page.text
    assert message in page.text
