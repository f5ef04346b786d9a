from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import FoldConfig, LastQuestionsConfig, VqaConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.vqa import LARGEST_ANSWER_FILE, Vqa, read_answers


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


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["yes", "no"], r"annotations\[0\], one of its answers should be an object with answer, got 'yes'"),
        ([{"text": "yes"}], r"annotations\[0\], one of its answers has no answer"),
        ("yes", r"annotations\[0\] should have a list of answers, got 'yes'"),
    ],
)
def test_answers_of_another_format_are_named(
    write_picture: Callable[..., Path],
    write_json: Callable[[str, Any], str],
    tmp_path: Path,
    answers: Any,
    message: str,
) -> None:
    write_picture("images/42.png")
    asked = write_json("questions.json", {"questions": [question(1, 42)]})
    annotated = write_json("annotations.json", {"annotations": [{"question_id": 1, "answers": answers}]})
    with pytest.raises(DatasetError, match=message):
        Vqa(VqaConfig(asked, annotated, str(tmp_path / "images")))


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


@pytest.fixture
def part(write_picture: Callable[..., Path], write_json: Callable[[str, Any], str], tmp_path: Path) -> Any:
    """Writes a file of questions (question id, picture), one picture each, and gives its configuration."""

    def write(name: str, asked: list[tuple[Any, int]], folder: str, **fields: Any) -> VqaConfig:
        for _, image in asked:
            write_picture(f"{folder}/COCO_{folder}_{image:012d}.png")
        answers = [{"question_id": n, "answer_type": "number", "answers": [{"answer": str(n)}]} for n, _ in asked]
        return VqaConfig(
            write_json(f"{name}.json", {"questions": [question(n, image) for n, image in asked]}),
            write_json(f"{name}_answers.json", {"annotations": answers}),
            str(tmp_path / folder),
            **fields,
        )

    return write


def numbers(config: VqaConfig) -> list[int | str | None]:
    dataset = Vqa(config)
    return [dataset[index].question_id for index in range(len(dataset))]


def test_the_last_questions_are_those_with_the_largest_ids(part: Any) -> None:
    """Whatever their order in the file, and also where they part the questions about one picture, as in v1."""
    asked = [(31, 3), (10, 1), (30, 3), (20, 2)]
    training, evaluation = (LastQuestionsConfig(last=1, held_out=held_out) for held_out in (False, True))
    assert numbers(part("val", asked, "val2014", fold=training)) == [10, 30, 20]
    assert numbers(part("val", asked, "val2014", fold=evaluation)) == [31]
    assert numbers(part("val", asked, "val2014", fold=FoldConfig(folds=3, held_out=True))) == [31, 30]
    with pytest.raises(DatasetError, match="question ids that are no numbers"):
        numbers(part("named", [("a", 1), ("b", 2)], "val2014", fold=training))
    with pytest.raises(DatasetError, match="holds no question"):
        numbers(part("val", asked, "val2014", fold=LastQuestionsConfig(last=4, held_out=False)))


def test_files_of_questions_follow_each_other(part: Any, tmp_path: Path) -> None:
    """v1's training data: train, val without its last questions, Visual Genome's about pictures of either."""
    fold = LastQuestionsConfig(last=1, held_out=False)
    genome = part("genome", [(10, 2), (77, 5)], "elsewhere")
    genome = replace(genome, images=(str(tmp_path / "train2014"), str(tmp_path / "val2014")))
    also = (part("val", [(50, 5), (60, 6)], "val2014", fold=fold), genome)
    dataset = Vqa(part("train", [(10, 1), (20, 2)], "train2014", also=also))
    records = [dataset[index] for index in range(len(dataset))]
    assert [(record.question_id, record.image_id) for record in records] == [
        (10, "1"),
        (20, "2"),
        (50, "5"),
        (10, "2"),
        (77, "5"),
    ]
    assert [record.answer_type for record in records] == ["number"] * 5
    assert list(dataset.answers()) == [("10",), ("20",), ("50",), ("10",), ("77",)]
    assert records[2].others == (("what is 77?", ("77",)),)
    with pytest.raises(DatasetError, match=r"two files for picture 5: .*val2014.* and .*elsewhere"):
        Vqa(replace(genome, images=(str(tmp_path / "val2014"), str(tmp_path / "elsewhere"))))


def test_pictures_of_one_id_in_two_folders_are_two_pictures(part: Any) -> None:
    dataset = Vqa(part("mine", [(1, 1)], "mine", also=(part("yours", [(2, 1)], "yours"),)))
    assert dataset[0].others == dataset[1].others == ()


def test_questions_need_no_annotations(part: Any) -> None:
    """As those of the test server."""
    dataset = Vqa(replace(part("test", [(1, 1), (2, 2)], "test2015"), annotations=None))
    assert [(dataset[i].question_id, dataset[i].answers, dataset[i].answer_type) for i in (0, 1)] == [
        (1, (), None),
        (2, (), None),
    ]
    assert list(dataset.answers()) == [(), ()]


def test_a_file_of_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.txt"
    path.write_text("\nyes\n no \non left\n")
    assert read_answers(path) == ("yes", "no", "on left")
    path.write_text("yes\nno\nyes\n")
    with pytest.raises(DatasetError, match="the answer 'yes' twice"):
        read_answers(path)
    path.write_text("\n\n")
    with pytest.raises(DatasetError, match="holds no answer"):
        read_answers(path)
    path.write_bytes(b"a" * (LARGEST_ANSWER_FILE + 1))
    with pytest.raises(DatasetError, match="more than 1048576 bytes"):
        read_answers(path)
