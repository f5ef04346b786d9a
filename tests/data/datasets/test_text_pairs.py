"""Tables of texts that belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uniperceiver.config import FoldConfig, TextPairsConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.text_pairs import TextPairs
from uniperceiver.data.records import PairedText


def test_rows_of_one_text_are_its_partners(tmp_path: Path) -> None:
    (tmp_path / "qa.tsv").write_text("question\tanswer\nwho ?\ta man\nwhere ?\there\nwho ?\tone man\nwho ?\ta man\n")
    data = open_dataset(TextPairsConfig(str(tmp_path / "qa.tsv")))
    assert [data[i] for i in range(len(data))] == [
        PairedText("who ?", "0", ("a man", "one man")),
        PairedText("where ?", "1", ("here",)),
    ]
    assert list(data.texts()) == ["who ?", "a man", "one man", "where ?", "here"]
    held_out = TextPairs(TextPairsConfig(str(tmp_path / "qa.tsv"), fold=FoldConfig(2, held_out=False)))
    assert [held_out[i].text for i in range(len(held_out))] == ["where ?"]


def test_lists_of_partners(tmp_path: Path) -> None:
    lines = [{"en": "dog", "de": ["Hund", "Köter"]}, {"en": "cat", "de": "Katze"}]
    (tmp_path / "words.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = TextPairs(TextPairsConfig(str(tmp_path / "words.jsonl"), text="en", partner="de"))
    assert data[0].partners == ("Hund", "Köter")
    assert data[1].partners == ("Katze",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q"}, "has no 'answer'"),
        ({"question": "q", "answer": []}, "empty list in 'answer'"),
        ({"question": "q", "answer": ["a", ""]}, "no text in 'answer'"),
        ({"question": " ", "answer": "a"}, "no text in 'question'"),
    ],
)
def test_what_lacks_is_named(row: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "qa.jsonl").write_text(json.dumps(row))
    with pytest.raises(DatasetError, match=message):
        TextPairs(TextPairsConfig(str(tmp_path / "qa.jsonl")))
