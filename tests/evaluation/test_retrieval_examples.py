from __future__ import annotations

import numpy as np
import pytest
import torch

from uniperceiver.data.records import CaptionedImage
from uniperceiver.evaluation.retrieval_examples import RetrievalExamples
from uniperceiver.predictions import Embeddings

NUMBER = 20


def data(number: int = NUMBER) -> list[CaptionedImage]:
    image = torch.zeros(3, 400, 300, dtype=torch.uint8)
    return [CaptionedImage(image + n, f"id {n}", (f"caption {n}", f"other {n}")) for n in range(number)]


def embeddings(confused: set[int], number: int = NUMBER) -> list[Embeddings]:
    """Every picture lies on its captions, but the captions of the confused ones lie on the next picture."""
    unit = np.eye(number, dtype=np.float32)
    texts = [(place + 1) % number if place in confused else place for place in range(number)]
    return [Embeddings(unit[place], unit[[text, text]]) for place, text in enumerate(texts)]


def collected(confused: set[int], dataset: list[CaptionedImage], order: list[int]) -> RetrievalExamples:
    examples = RetrievalExamples(dataset)
    records, predictions = data(), embeddings(confused)
    for place in order:
        examples.add([records[place]], [predictions[place]])
    return examples


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_right_and_wrong_both_ways(is_shuffled: bool) -> None:
    confused = {3, 4, 5, 6, 7}
    order = list(range(NUMBER))[:: -1 if is_shuffled else 1]
    sheet = collected(confused, data(), order).sheet()
    assert len(sheet.examples) == 12
    to_text = [example for example in sheet.examples if example.heading.startswith("Captions for picture")]
    to_image = [example for example in sheet.examples if example not in to_text]
    assert [example.is_right for example in to_text] == [True, False] * 3
    assert [example.is_right for example in to_image] == [True, False] * 3
    assert "all 40 captions and all 20 pictures" in sheet.note
    for example in to_text:
        number = int(example.heading.rsplit(" ", 1)[1])
        assert f"caption {number}" in example.panels[0].alt
        assert (example.facts[0][0] == "1. right") == example.is_right == example.facts[0][1].endswith(f" {number}")
    for example in to_image:
        number = int(example.facts[0][1].rsplit(" ", 1)[1])
        assert (number in confused) != example.is_right
        right = [panel for panel in example.panels if panel.caption.endswith("right")]
        assert [panel.alt.endswith(f": caption {number}") for panel in right] == [True]
        assert max(example.panels[0].size) == 160


def test_one_picture_alone() -> None:
    examples = RetrievalExamples(data(1))
    examples.add(data(1), embeddings(set(), 1))
    assert [example.is_right for example in examples.sheet().examples] == [True, True, True]


def test_a_picture_that_is_gone_is_an_error() -> None:
    with pytest.raises(ValueError, match="no picture id 1"):
        collected(set(), data(10), list(range(NUMBER))).sheet()
