from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import VqaConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.vqa import Vqa


@pytest.fixture
def make(write_picture: Callable[..., Path], write_json: Callable[[str, Any], str], tmp_path: Path) -> Any:
    write_picture("images/COCO_val2014_000000000042.png")
    write_picture("images/7.png", width=5)
    write_picture("images/cover.png")

    def build(questions: list[dict[str, Any]], answers: dict[int, list[str]]) -> Vqa:
        annotations = [
            {"question_id": number, "answers": [{"answer": answer, "answer_id": k} for k, answer in enumerate(given)]}
            for number, given in answers.items()
        ]
        return Vqa(
            VqaConfig(
                write_json("questions.json", {"questions": questions}),
                write_json("annotations.json", {"annotations": annotations}),
                str(tmp_path / "images"),
            )
        )

    return build


def question(number: int, image: int) -> dict[str, Any]:
    return {"question_id": number, "image_id": image, "question": f"what is {number}?"}


def test_questions_meet_answers_and_pictures(make: Any) -> None:
    dataset = make([question(1, 42), question(2, 7)], {2: ["no"] * 10, 1: ["yes", "no"]})
    assert len(dataset) == 2
    assert list(dataset.answers()) == [("yes", "no"), ("no",) * 10]
    assert (dataset[0].image_id, dataset[0].question, dataset[0].answers) == ("42", "what is 1?", ("yes", "no"))
    assert tuple(dataset[1].image.shape) == (3, 16, 5)


def test_a_record_has_the_other_questions_about_its_picture(make: Any) -> None:
    dataset = make([question(1, 42), question(2, 7), question(3, 42)], {1: ["yes", "no"], 2: ["no"], 3: ["two"]})
    assert dataset[0].others == (("what is 3?", ("two",)),)
    assert dataset[2].others == (("what is 1?", ("yes", "no")),)
    assert dataset[1].others == ()


def test_errors_name_the_question(make: Any, write_picture: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match=r"no answers to question 2"):
        make([question(2, 42)], {1: ["yes"]})
    with pytest.raises(DatasetError, match=r"question 1 needs picture 43"):
        make([question(1, 43)], {1: ["yes"]})
    with pytest.raises(DatasetError, match=r"questions\[0\] has no question"):
        make([{"question_id": 1, "image_id": 42}], {1: ["yes"]})
    write_picture("images/42.png")
    with pytest.raises(DatasetError, match=r"two files for picture 42"):
        make([question(1, 42)], {1: ["yes"]})
