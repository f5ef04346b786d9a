"""What is drawn, from plain records; `test_checkpoint_evaluation` collects from real models."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uniperceiver.data.records import CaptionedImage, LabelledImage
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.evaluation.example_collection import ExampleCollector
from uniperceiver.evaluation.examples import ExampleSheet
from uniperceiver.predictions import Caption, Classification

IMAGE = torch.zeros(3, 20, 30, dtype=torch.uint8)


def classified(tokenizer: Tokenizer, number: int, right: int, batch: int, order: int = 1) -> ExampleSheet:
    """The first ``right`` of ``number`` pictures are right."""
    collector = ExampleCollector(SimpleNamespace(names=("cat", "dog")), tokenizer)
    numbers = list(range(number))[::order]
    for start in range(0, number, batch):
        part = numbers[start : start + batch]
        records = [LabelledImage(IMAGE, f"{n}", int(n >= right)) for n in part]
        collector.add(records, None, [Classification(np.array([0]), ("cat",), np.array([0.5]))] * len(part))
    return collector.sheet()


@pytest.mark.parametrize(
    ("number", "right", "shown"), [(200, 190, 6), (200, 198, 10), (200, 0, 0), (200, 200, 12), (3, 1, 1)]
)
def test_right_and_wrong_are_drawn_apart(tokenizer: Tokenizer, number: int, right: int, shown: int) -> None:
    sheet = classified(tokenizer, number, right, 7)
    assert len(sheet.examples) == min(12, number)
    assert sum(example.is_right is True for example in sheet.examples) == shown
    assert sheet.note.startswith(
        f"{shown} of the {right} right ones and {min(12, number) - shown} of the {number - right}"
    )


def test_batches_and_order_do_not_matter(tokenizer: Tokenizer) -> None:
    assert classified(tokenizer, 100, 50, 1) == classified(tokenizer, 100, 50, 33, order=-1)


def test_captions_are_drawn_without_a_verdict(tokenizer: Tokenizer) -> None:
    collector = ExampleCollector(None, tokenizer)
    records = [CaptionedImage(IMAGE, f"{n}", (f"<b>{n}</b>",)) for n in range(30)]
    collector.add(records, None, [Caption(f"caption {n}", -1.0) for n in range(30)])
    sheet = collector.sheet()
    assert sheet.note.startswith("12 of 30, drawn")
    assert {example.is_right for example in sheet.examples} == {None}
    for example in sheet.examples:
        number = example.heading.split()[1]
        assert example.facts == (("model", f"caption {number}"), ("people", f"<b>{number}</b>"))


def test_nothing_taken_in_gives_no_examples(tokenizer: Tokenizer) -> None:
    assert ExampleCollector(None, tokenizer).sheet() == ExampleSheet()
