from __future__ import annotations

import math

import numpy as np
import pytest

from uniperceiver.config import ScenesConfig
from uniperceiver.data.datasets.scenes import SceneCaptions
from uniperceiver.data.records import CaptionedImage, QuestionedImage
from uniperceiver.evaluation.text_scoring import AnswerScorer, CaptionScorer
from uniperceiver.predictions import Answer, Caption

NO_PICTURE = None


def captioned(*captions: str) -> CaptionedImage:
    return CaptionedImage(NO_PICTURE, "id", captions)  # type: ignore[arg-type]


def test_perfect_captions_and_their_baseline() -> None:
    texts = ["a red car parks here", "two birds sing in trees", "a man rides a bicycle"]
    scorer = CaptionScorer(training=["two birds sing in trees", "two birds sing in trees", "a dog"])
    scorer.add([captioned(text) for text in texts], None, [Caption(text, -1.0) for text in texts])
    result = scorer.result()
    assert result.metrics["cider_d"] == pytest.approx(10)
    assert [result.metrics["bleu4"], result.metrics["rouge_l"]] == pytest.approx([1, 1])
    assert result.baselines["cider_d"] == pytest.approx(10 / 3)
    assert "'two birds sing in trees'" in result.protocol


def test_captions_of_scenes_are_also_scored_by_the_names_in_them() -> None:
    scenes = SceneCaptions(ScenesConfig(view="captions", split="val", images=8, size=64))
    records = [scenes[index] for index in reversed(range(len(scenes)))]
    scorer = CaptionScorer(None, scenes)
    scorer.add(records, None, [Caption(record.captions[0], -1.0) for record in records])
    result = scorer.result()
    assert (result.metrics["name_f1"], result.metrics["name_exact"]) == (1, 1)
    assert result.baselines.keys() == result.metrics.keys()
    assert 0 < result.baselines["name_f1"] < 0.8

    empty = CaptionScorer(None, scenes)
    empty.add(records, None, [Caption("", -1.0) for _ in records])
    assert empty.result().metrics["name_f1"] == 0


def test_answers_by_family_and_the_best_constant_answer_of_each() -> None:
    scorer = AnswerScorer()
    asked = [
        ("What color is the dog?", "red", "red"),
        ("what is on the left?", "cat", "dog"),
        ("what is above?", "cat", "cat"),
        ("is there a cat?", "yes", "yes"),
        ("is there a dog?", "no", "yes"),
        ("is it red?", "yes", "yes"),
        ("how many cats?", "2", "two"),
        ("whatever", "x", "y"),
    ]
    records = [QuestionedImage(NO_PICTURE, "id", text, (right,) * 10) for text, right, _ in asked]  # type: ignore[arg-type]
    scorer.add(records, None, [Answer((given,), np.ones(1)) for _, _, given in asked])
    result = scorer.result()
    assert result.metrics == pytest.approx(
        {
            "accuracy": 4 / 8,
            "accuracy_how_many": 0,  # everybody says "2": then spelling counts, as in the official evaluation
            "accuracy_is": 2 / 3,
            "accuracy_other": 0,
            "accuracy_what": 1 / 2,
            "accuracy_what_color": 1,
        }
    )
    assert result.baselines["accuracy_is"] == pytest.approx(2 / 3)
    assert result.baselines["accuracy"] == pytest.approx(7 / 8)
    assert "is … 'yes'" in result.protocol


def asked(number: int, answer_type: str | None, *people: str) -> QuestionedImage:
    picture = NO_PICTURE
    return QuestionedImage(picture, "id", "is it?", people, (), number, answer_type)  # type: ignore[arg-type]


def answered(*texts: str) -> list[Answer]:
    return [Answer((text, "second"), np.array([0.9, 0.1])) for text in texts]


def test_answers_by_type_where_the_annotations_say_it() -> None:
    """Under the names of `score answers`; and the rows that the official evaluation reads."""
    records = [asked(3, "yes/no", "yes"), asked(1, "yes/no", "no"), asked(2, "number", "2"), asked(4, "other", "red")]
    scorer = AnswerScorer()
    scorer.add(records[:2], None, answered("yes", "yes"))
    scorer.add(records[2:], None, answered("2", "blue"))
    result = scorer.result()
    assert result.metrics == {"accuracy": 0.5, "accuracy_yes_no": 0.5, "accuracy_number": 1.0, "accuracy_other": 0.0}
    assert result.metrics.keys() == result.baselines.keys()
    assert "with answers of this type" in result.protocol
    assert [row["question_id"] for row in result.predictions] == [3, 1, 2, 4]
    assert result.predictions[3] == {"question_id": 4, "answer": "blue"}


def test_questions_whose_answers_nobody_knows_are_answered_and_not_scored() -> None:
    scorer = AnswerScorer()
    scorer.add([asked(1, None), asked(2, None)], None, answered("yes", "no"))
    result = scorer.result()
    assert math.isnan(result.metrics["accuracy"])
    assert result.count == 2
    assert [row["answer"] for row in result.predictions] == ["yes", "no"]
    scorer.add([asked(3, None, "no")], None, answered("no"))
    result = scorer.result()
    assert (result.metrics["accuracy"], result.count, len(result.predictions)) == (1.0, 1, 3)
