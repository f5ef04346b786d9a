from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from uniperceiver.data.records import CaptionedImage, ObjectReference, QuestionedImage
from uniperceiver.evaluation.average_precision import average_precision
from uniperceiver.evaluation.scoring import (
    AnswerScorer,
    CaptionScorer,
    MaskedWordScorer,
    RetrievalScorer,
    mean_boxes,
)
from uniperceiver.predictions import Answer, Caption, Embeddings, FilledMask

NO_PICTURE = None


@dataclass
class MaskedTexts:
    references: tuple[tuple[str, ...], ...]


def captioned(*captions: str) -> CaptionedImage:
    return CaptionedImage(NO_PICTURE, "id", captions)  # type: ignore[arg-type]


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


def test_perfect_captions_and_their_baseline() -> None:
    texts = ["a red car parks here", "two birds sing in trees", "a man rides a bicycle"]
    scorer = CaptionScorer(training=["two birds sing in trees", "two birds sing in trees", "a dog"])
    scorer.add([captioned(text) for text in texts], None, [Caption(text, -1.0) for text in texts])
    result = scorer.result()
    assert result.metrics["cider_d"] == pytest.approx(10)
    assert [result.metrics["bleu4"], result.metrics["rouge_l"]] == pytest.approx([1, 1])
    assert result.baselines["cider_d"] == pytest.approx(10 / 3)
    assert "'two birds sing in trees'" in result.protocol


def test_retrieval_over_batches_with_different_numbers_of_captions() -> None:
    scorer = RetrievalScorer()
    axes = np.eye(3, dtype=np.float32)
    scorer.add([], None, [Embeddings(axes[0], axes[[0, 0]]), Embeddings(axes[1], axes[[1]])])
    scorer.add([], None, [Embeddings(axes[2], axes[[2, 2, 0]])])
    result = scorer.result()
    assert result.metrics["image_to_text_r1"] == pytest.approx((2 / 3 + 1 + 1) / 3)  # a foreign caption ties with two
    assert result.metrics["text_to_image_r1"] == pytest.approx(5 / 6)
    assert result.baselines["text_to_image_r1"] == pytest.approx(1 / 3)
    assert (result.count, result.unit) == (3, "images")


def test_answers_and_the_most_common_answer_of_training() -> None:
    scorer = AnswerScorer(training=[("no",), ("yes",), ("No",)])
    records = [QuestionedImage(NO_PICTURE, "id", "?", (a,) * 10) for a in ("yes", "no", "no", "red")]  # type: ignore[arg-type]
    scorer.add(records, None, [Answer((a,), np.ones(1)) for a in ("yes", "no", "yes", "red")])
    result = scorer.result()
    assert result.metrics == {"accuracy": 0.75}
    assert result.baselines == {"accuracy": 0.5}


def test_mean_boxes_are_those_of_the_training_data_scaled_to_the_picture() -> None:
    def reference(image_id, size, boxes, labels):
        array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        none_is_crowd, areas = np.zeros(len(labels), dtype=bool), np.full(len(labels), 2000.0)
        return ObjectReference(image_id, size, array, [{}] * len(labels), np.array(labels), none_is_crowd, areas)

    objects = [
        (np.array([[0, 0, 0.5, 0.5], [0.1, 0.1, 0.2, 0.2]]), np.array([1, 0])),
        (np.array([[0, 0, 0.5, 0.5]]), np.array([1])),
        (np.zeros((0, 4)), np.zeros(0, dtype=np.int64)),
    ]
    references = [reference("a", (100, 200), [[0, 0, 100, 50]], [1]), reference("c", (10, 10), [], [])]
    found = mean_boxes(objects, references)
    np.testing.assert_allclose(found["a"].boxes[0], [0, 0, 100, 50])
    np.testing.assert_allclose(found["c"].boxes[0], [0, 0, 5, 5])
    assert found["a"].labels.tolist() == [1, 0]
    np.testing.assert_allclose(found["a"].scores, [2 / 3, 1 / 3])
    assert average_precision(found, references, "box").ap50_of_class[1] == pytest.approx(1)
    assert mean_boxes(objects[2:], references)["c"].boxes.shape == (0, 4)
