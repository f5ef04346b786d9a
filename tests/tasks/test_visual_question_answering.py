"""Visual question answering: layout of the question, weights of the answers, that it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from uniperceiver.config import ImageSizeConfig, TaskConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.records import AnsweredQuestion, QuestionedImage
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.visual_question_answering import VisualQuestionAnsweringTask

MakeTask = Callable[..., VisualQuestionAnsweringTask]
ANSWERS = [("yes", "Yes ", "no"), ("three", "three"), ("yes",), ("a red car",)]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(**fields: object) -> VisualQuestionAnsweringTask:
        chosen = setting(kind="visual_question_answering", **fields)
        dataset = SimpleNamespace(answers=lambda: ANSWERS)
        return VisualQuestionAnsweringTask(chosen, VisualQuestionAnsweringTask.find_candidates(chosen, dataset))

    return make


@pytest.fixture
def records(picture: Callable) -> list[QuestionedImage]:
    red, blue = picture((220, 20, 20)), picture((20, 20, 220))
    return [
        QuestionedImage(red, "red", "is there a blue ball ?", ("no",)),
        QuestionedImage(blue, "blue", "is there a blue ball ?", ("yes",)),
        QuestionedImage(blue, "blue", "how many birds are there on the road ?", ("three",)),
    ]


def test_candidates_are_the_most_frequent_answers(make_task: MakeTask) -> None:
    assert make_task().candidates.texts == ("yes", "three", "no", "a red car")
    assert make_task(answers=2).candidates.texts == ("yes", "three")


def test_the_question_is_followed_by_slot_and_end(make_task: MakeTask, records: list[QuestionedImage]) -> None:
    task = make_task()
    tokenizer = task.setting.tokenizer
    batch = task.collate(records)
    for row, record in enumerate(records):
        words = tokenizer.encode(record.question, special=False)
        expected = [tokenizer.start_id, *words, tokenizer.slot_id, tokenizer.end_id]
        assert batch.text.ids[row, : len(expected)].tolist() == expected
        assert batch.text.is_slot[row].nonzero().squeeze(1).tolist() == [len(words) + 1]
    assert not batch.text.causal


def test_a_long_question_keeps_its_slot_and_one_with_a_mask_has_one(make_task: MakeTask, picture: Callable) -> None:
    task = make_task()
    image = picture((9, 9, 9))
    long = QuestionedImage(image, "x", "is there a blue ball " * 10 + "?", ("yes",))
    masked = QuestionedImage(image, "x", "is there a [MASK] ball ?", ("yes",))
    batch = task.collate([long, masked])
    assert batch.text.ids.shape[1] == task.setting.config.max_tokens
    assert batch.text.is_slot.sum(dim=1).tolist() == [1, 1]
    assert batch.text.is_slot[0, -2]


def test_the_candidates_may_be_given_in_a_file(make_task: MakeTask, setting: Callable, tmp_path: Path) -> None:
    """Also those that nobody gave; they are compared as answers are, in lower case."""
    (tmp_path / "answers.txt").write_text("no\nOn Left\nyes\n")
    task = make_task(answer_file=str(tmp_path / "answers.txt"))
    assert task.candidates.texts == ("no", "on left", "yes")
    nobody = SimpleNamespace(answers=lambda: [(), ()])
    with pytest.raises(ValueError, match="questions without answers"):
        VisualQuestionAnsweringTask.find_candidates(task.setting, nobody)
    with pytest.raises(DatasetError, match=r"cannot read .*nothing\.txt"):
        make_task(answer_file=str(tmp_path / "nothing.txt"))


@pytest.mark.parametrize("setting", [{"answer_file": "answers.txt"}, {"image": ImageSizeConfig(swap_sides=True)}])
def test_other_tasks_have_no_answers_and_no_sides(setting: dict[str, Any]) -> None:
    assert TaskConfig("visual_question_answering", **setting)
    with pytest.raises(ValueError, match="are for visual question answering, not for captioning"):
        TaskConfig("captioning", **setting)


@pytest.mark.parametrize(
    ("given", "expected"), [(("yes",) * 9 + ("no",), [1 / 1.3, 0.3 / 1.3]), (("yes",) * 5 + ("no",) * 5, [0.5, 0.5])]
)
def test_answers_weigh_by_their_soft_scores(
    given: tuple[str, ...], expected: list[float], make_task: MakeTask, picture: Callable
) -> None:
    """v1: 0.3 for each person who said so, at most 1, so four count as ten."""
    batch = make_task().collate([QuestionedImage(picture((9, 9, 9)), "x", "?", given)])
    assert batch.weights.tolist() == pytest.approx(expected)


def test_answers_weigh_by_people(make_task: MakeTask, picture: Callable) -> None:
    """Answers that are no candidates do not count; case and blanks do not matter."""
    task = make_task()
    image = picture((9, 9, 9))
    batch = task.collate(
        [
            QuestionedImage(image, "x", "?", ("unheard of",)),
            QuestionedImage(image, "y", "?", ("YES", "no", "yes", "unheard of", " yes")),
        ]
    )
    assert batch.questions.tolist() == [1, 1]
    assert [task.candidates.texts[i] for i in batch.answers] == ["yes", "no"]
    assert batch.weights.tolist() == [0.75, 0.25]


def test_questions_without_a_known_answer_have_no_loss(
    model: UniPerceiver, make_task: MakeTask, records: list[QuestionedImage], picture: Callable
) -> None:
    task = make_task()
    unknown = QuestionedImage(picture((9, 9, 9)), "x", "is there a cat ?", ("unheard of",))
    with torch.no_grad():
        alone = task.loss(model, task.collate(records))["answers"]
        torch.testing.assert_close(task.loss(model, task.collate([*records, unknown]))["answers"], alone)
    nothing = task.loss(model, task.collate([unknown]))["answers"]
    assert nothing.item() == 0
    nothing.backward()


def test_overfits_one_batch(
    model: UniPerceiver, make_task: MakeTask, records: list[QuestionedImage], overfit: Callable
) -> None:
    task = make_task(sampled_candidates=1)
    batch = task.collate(records)
    history = overfit(model, task, batch, 25)
    assert history[-1]["answers"] < 0.3 < history[0]["answers"]
    assert [answer.answers[0] for answer in task.predict(model, batch)] == ["no", "yes", "three"]


def test_a_batch_is_its_questions_one_by_one(
    model: UniPerceiver, make_task: MakeTask, records: list[QuestionedImage]
) -> None:
    task = make_task()
    for record, answer in zip(records, task.predict(model, task.collate(records)), strict=True):
        (alone,) = task.predict(model, task.collate([record]))
        assert alone.answers == answer.answers
        np.testing.assert_allclose(alone.probabilities, answer.probabilities, atol=1e-5)
        assert answer.probabilities.sum() == pytest.approx(1.0)


def test_several_questions_share_one_look_at_their_picture(
    make_task: MakeTask, records: list[QuestionedImage], model: UniPerceiver
) -> None:
    """The loss is the mean over all questions, as if each had a picture of its own; predictions are of the records'."""
    red, blue, _ = records
    others = (AnsweredQuestion("is there a red ball ?", ("no", "yes")), AnsweredQuestion("how many ?", ("three",)))
    together = [replace(red, others=others), blue]
    task, alone = make_task(questions_per_image=3), make_task()
    batch = task.collate(together)
    assert batch.images.size == 2
    assert batch.pictures[:2].tolist() == [0, 1]
    assert batch.pictures[2:].tolist() == [0, 0]
    assert make_task(questions_per_image=2).collate(together).text.size == 3
    one_by_one = [red, blue, *(QuestionedImage(red.image, "red", q, answers) for q, answers in others)]
    with torch.no_grad():
        loss = task.loss(model, batch)["answers"]
        losses = [alone.loss(model, alone.collate([record]))["answers"] for record in one_by_one]
        torch.testing.assert_close(loss, torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)
        answers = task.predict(model.eval(), batch)
        assert len(answers) == 2
        for answer, record in zip(answers, together, strict=True):
            np.testing.assert_allclose(
                answer.probabilities, alone.predict(model, alone.collate([record]))[0].probabilities, rtol=1e-4
            )
