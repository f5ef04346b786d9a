from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from uniperceiver.evaluation.scoring import MaskedWordScorer, RetrievalScorer
from uniperceiver.predictions import Embeddings, FilledMask


@dataclass
class MaskedTexts:
    references: tuple[tuple[str, ...], ...]


def filled(*words: str) -> FilledMask:
    return FilledMask(words, np.full(len(words), 1 / len(words)))


def test_masked_words_are_counted_over_texts() -> None:
    scorer = MaskedWordScorer()
    scorer.add([None, None], MaskedTexts((("cat", "sat"), ())), [[filled("cat", "dog"), filled("is", "sat")], []])
    scorer.add([None], MaskedTexts((("cat",),)), [[filled("mat", "hat")]])
    result = scorer.result()
    assert result.metrics == pytest.approx({"top1": 1 / 3, "top5": 2 / 3})
    assert result.baselines == pytest.approx({"top1": 2 / 3, "top5": 1})
    assert result.count == 3


def test_texts_with_slots_of_their_own_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="without mask tokens"):
        MaskedWordScorer().add([None], MaskedTexts(((),)), [[filled("cat")]])


def test_retrieval_over_batches_with_different_numbers_of_captions() -> None:
    scorer = RetrievalScorer()
    axes = np.eye(3, dtype=np.float32)
    scorer.add([None, None], None, [Embeddings(axes[0], axes[[0, 0]]), Embeddings(axes[1], axes[[1]])])
    scorer.add([None], None, [Embeddings(axes[2], axes[[2, 2, 0]])])
    result = scorer.result()
    assert result.metrics["image_to_text_r1"] == pytest.approx((2 / 3 + 1 + 1) / 3)  # a foreign caption ties with two
    assert result.metrics["text_to_image_r1"] == pytest.approx(5 / 6)
    assert result.baselines["text_to_image_r1"] == pytest.approx(1 / 3)
    assert (result.count, result.unit) == (3, "images")
