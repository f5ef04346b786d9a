from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from uniperceiver.data.doctor import Kind, check_data

Files = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture
def vqa(write, picture) -> Callable[[Callable[[list[Any], list[Any]], object]], None]:
    def make(change: Callable[[list[Any], list[Any]], object] = lambda questions, answers: None) -> None:
        questions = [{"question_id": i, "image_id": 42, "question": "How many cats?"} for i in (1, 2)]
        answers = [{"question_id": i, "answers": [{"answer": "2"}, {"answer": "two"}]} for i in (1, 2)]
        change(questions, answers)
        write("questions_train.json", {"questions": questions})
        write("answers_train.json", {"annotations": answers})
        picture("images/COCO_train2014_000000000042.jpg")

    return make


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.NO_ANSWER, lambda questions, answers: answers[0].update(answers=[])),
        (Kind.NO_ANSWER, lambda questions, answers: answers.pop()),
        (Kind.EMPTY_TEXT, lambda questions, answers: answers[0].update(answers=[{"answer": " "}])),
        (Kind.EMPTY_TEXT, lambda questions, answers: questions[0].update(question="")),
        (Kind.UNKNOWN_QUESTION, lambda questions, answers: questions.pop()),
        (Kind.REPEATED_QUESTION_ID, lambda questions, answers: questions.append(questions[0])),
        (Kind.MISSING_IMAGE, lambda questions, answers: questions[0].update(image_id=43)),
        (Kind.BAD_ENTRY, lambda questions, answers: questions.append({"question": "?"})),
    ],
)
def test_one_fault_gives_one_kind_of_finding(vqa, kinds, kind: Kind, change) -> None:
    vqa(change)
    assert kinds() == {kind}


def test_a_clean_set_gives_nothing(vqa, kinds) -> None:
    vqa()
    assert kinds() == set()


def test_answers_may_be_missing_for_the_test_split_alone(vqa, kinds, root) -> None:
    vqa()
    (root / "answers_train.json").unlink()
    assert kinds() == {Kind.NO_ANSWER}
    (root / "questions_train.json").rename(root / "questions_test.json")
    assert kinds() == set()


def test_a_file_of_questions_finds_its_answers_and_pictures(vqa, root) -> None:
    vqa()
    (root / "questions").mkdir()
    for name in ("questions_train.json", "answers_train.json"):
        (root / name).rename(root / "questions" / name)
    diagnosis = check_data(root / "questions/questions_train.json")
    assert not diagnosis.findings
    assert diagnosis.images == 1
