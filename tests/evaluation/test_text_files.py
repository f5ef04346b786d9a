from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.evaluation.caption_scores import caption_scores
from uniperceiver.evaluation.file_scores import PredictionFileError
from uniperceiver.evaluation.text_files import score_answers, score_captions

REFERENCES = [["a cat sits on a mat", "one cat on a mat"], ["two dogs run in the snow"], ["a man rides a horse"]]
CAPTIONS = ["a cat on a mat", "dogs in snow", "a man on a brown horse"]
PREDICTIONS = [{"image_id": 10 * i, "caption": text} for i, text in enumerate(CAPTIONS, start=1)]


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def coco(write) -> Path:
    annotations = [
        {"id": 100 * i + k, "image_id": 10 * i, "caption": text}
        for i, row in enumerate(REFERENCES, start=1)
        for k, text in enumerate(row)
    ]
    return write("captions.json", {"images": [{"id": 10 * i} for i in (1, 2, 3)], "annotations": annotations})


def test_captions_score_as_the_function_does_whatever_their_order(write, coco: Path) -> None:
    scores = score_captions(write("found.json", PREDICTIONS[::-1]), coco)
    expected = caption_scores(CAPTIONS, REFERENCES)
    assert scores.metrics["cider_d"] == expected.cider_d > 0
    assert [scores.metrics[f"bleu{order}"] for order in (1, 2, 3, 4)] == list(expected.bleu)
    assert scores.metrics["rouge_l"] == expected.rouge_l
    assert (scores.count, scores.unit) == (3, "images")
    assert "1.3 references an image" in scores.protocol


def test_karpathys_file_wants_a_split(write, coco: Path) -> None:
    images = [
        {"cocoid": 10 * i, "split": "test", "sentences": [{"raw": text} for text in row]}
        for i, row in enumerate(REFERENCES, start=1)
    ]
    other = {"cocoid": 7, "split": "train", "sentences": [{"raw": "a bird"}]}
    karpathy, found = write("dataset.json", {"images": [other, *images]}), write("found.json", PREDICTIONS)
    assert score_captions(found, karpathy, "test").metrics == score_captions(found, coco).metrics
    with pytest.raises(PredictionFileError, match="splits test, train: name one"):
        score_captions(found, karpathy)
    with pytest.raises(PredictionFileError, match="leave out --split"):
        score_captions(found, coco, "test")


def test_missing_surplus_and_repeated_captions_are_errors(write, coco: Path) -> None:
    with pytest.raises(PredictionFileError, match=r"1 are missing \[30\], 0 surplus \[\], 0 repeated"):
        score_captions(write("found.json", PREDICTIONS[:2]), coco)
    with pytest.raises(PredictionFileError, match=r"0 are missing \[\], 1 surplus \[5\], 0 repeated"):
        score_captions(write("found.json", [*PREDICTIONS, {"image_id": 5, "caption": "x"}]), coco)
    with pytest.raises(PredictionFileError, match="1 repeated"):
        score_captions(write("found.json", [*PREDICTIONS, PREDICTIONS[0]]), coco)
    with pytest.raises(PredictionFileError, match="1 of 1 images have no caption"):
        score_captions(write("found.json", []), write("bare.json", {"images": [{"id": 1}], "annotations": []}))


def people(*answers: str) -> list[dict[str, str]]:
    return [{"answer": answer} for answer in answers]


def test_answers_in_all_and_by_type(write) -> None:
    truth = write(
        "annotations.json",
        {
            "annotations": [
                {"question_id": 1, "answers": people(*["2"] * 10), "answer_type": "number"},
                {"question_id": 2, "answers": people(*["yes"] * 8, "no", "no"), "answer_type": "yes/no"},
            ]
        },
    )
    found = [{"question_id": 2, "answer": "no"}, {"question_id": 1, "answer": "2"}]
    scores = score_answers(write("found.json", found), truth)
    # "no": leaving out one who said it (twice of ten) one agrees, else two.
    assert scores.metrics["accuracy_number"] == 1
    assert scores.metrics["accuracy_yes_no"] == pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10)
    assert scores.metrics["accuracy"] == pytest.approx((1 + 0.6) / 2)
    with pytest.raises(PredictionFileError, match=r"each of 2 questions: 1 are missing \[1\]"):
        score_answers(write("found.json", found[:1]), truth)
    for answers in (["yes"], "yes", [], [{"text": "yes"}]):
        bare = write("bare.json", {"annotations": [{"question_id": 1, "answers": answers}]})
        with pytest.raises(PredictionFileError, match="question 1 should have a list of objects with `answer`"):
            score_answers(write("found.json", found[1:]), bare)
