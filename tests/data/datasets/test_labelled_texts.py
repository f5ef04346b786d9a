"""Tables of texts with a class, in every suffix, with and without a list of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import FoldConfig, LabelledTextsConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.labelled_texts import LabelledTexts
from uniperceiver.data.records import LabelledText


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "news.csv"
    path.write_text('text,topic\n"Two goals, one win",sport\nRates rise,money\nA late goal,sport\n', encoding="utf-8")
    return str(path)


def test_names_are_those_that_occur(table: str) -> None:
    data = open_dataset(LabelledTextsConfig(table, label="topic"))
    assert data.names == ("money", "sport")
    assert data[0] == LabelledText("Two goals, one win", None, "0", 1)
    assert [data[i].label for i in range(3)] == [1, 0, 1]


def test_a_list_of_classes_orders_and_names_them(table: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sport\nweather\nmoney\n")
    classes = str(tmp_path / "classes.txt")
    data = LabelledTexts(LabelledTextsConfig(table, label="topic", classes=classes, fold=FoldConfig(3, held_out=False)))
    assert [(record.text, record.label) for record in (data[0], data[1])] == [("Rates rise", 2), ("A late goal", 0)]
    lines = [{"a": "x", "b": "y", "n": 2}, {"a": "v", "b": "w", "n": 0}]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = LabelledTexts(LabelledTextsConfig(str(tmp_path / "pairs.jsonl"), "labelled_texts", "a", "b", "n", classes))
    assert data[0] == LabelledText("x", "y", "0", 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"line 2 has no 'label': it has 'text', 'topic'; name the columns"),
        ({"label": "topic", "text": "body"}, "has no 'body'"),
        ({"label": "topic", "second": "b"}, "has no 'b'"),
    ],
)
def test_columns_must_be_there(fields: dict[str, Any], message: str, table: str) -> None:
    with pytest.raises(DatasetError, match=message):
        LabelledTexts(LabelledTextsConfig(table, **fields))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n,a\n", "no text in 'text'"),
        ("text,label\nx,\n", "no text in 'label'"),
        ("text,label\n", "holds no text"),
    ],
)
def test_cells_must_be_filled(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        LabelledTexts(LabelledTextsConfig(str(tmp_path / "x.csv")))


def test_a_class_that_is_not_listed(table: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sport\n")
    with pytest.raises(DatasetError, match=r"line 3 has the class 'money', which is not among the 1 class names"):
        LabelledTexts(LabelledTextsConfig(table, label="topic", classes=str(tmp_path / "classes.txt")))
