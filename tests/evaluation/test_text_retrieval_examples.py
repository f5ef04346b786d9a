"""What the report shows of texts found for texts."""

from __future__ import annotations

import numpy as np

from uniperceiver.data.records import PairedText
from uniperceiver.evaluation.text_retrieval_examples import TextRetrievalExamples
from uniperceiver.text_predictions import PartnerEmbeddings


def test_right_and_wrong_ones_in_turn() -> None:
    unit = np.eye(8, dtype=np.float32)
    examples = TextRetrievalExamples()
    for place in range(8):
        found = (place + 1) % 4 if place < 4 else place
        record = PairedText(f"text {place}", str(place), (f"partner {place}", f"other {place}"))
        examples.add([record], [PartnerEmbeddings(unit[place], unit[[found, found]])])
    sheet = examples.sheet()
    assert [example.is_right for example in sheet.examples] == [True, False] * 3
    for example in sheet.examples:
        (_, text), (place, best) = example.facts[:2]
        number = int(text.rsplit(" ", 1)[1])
        assert example.is_right == (number >= 4) == (place == "1. right")
        assert best.endswith(f" {number if example.is_right else (number - 1) % 4}")
    assert "all 16 partners were searched" in sheet.note
