from __future__ import annotations

import pytest

from uniperceiver.evaluation.vqa_accuracy import normalise_answer, question_family, vqa_accuracy, vqa_score


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Yes", "yes"),
        ("Two", "2"),
        ("none", "0"),
        ("ten", "10"),
        ("a red car", "red car"),
        ("The  end", "end"),
        ("an apple and the pear", "apple and pear"),
        ("dont know", "don't know"),
        ("Im", "im"),  # the official table has "Im" only, which a lower-case word never equals
        ("wont", "won't"),
        ("couldn'tve", "couldn't've"),
        ("somebody'd", "somebodyd"),  # the official table's own slip
        ("t-shirt", "t shirt"),  # touches no space: becomes one
        ("black/white", "black white"),
        ("yes, it is", "yes it is"),  # touches a space: vanishes
        ("red - blue", "red blue"),
        ("1,000", "1000"),
        ("1,000-2,000", "10002000"),  # a comma between digits makes every mark vanish
        ("3.5", "3.5"),
        ("5.", "5"),
        ("st. john's", "st john's"),
        ("(yes)", "yes"),
        ("what?!", "what"),
        ("5:30", "5:30"),  # colons and apostrophes stay
        ("", ""),
    ],
)
def test_official_normalisation(given: str, expected: str) -> None:
    assert normalise_answer(given) == expected


def test_agreement_is_averaged_over_leaving_out_each_person() -> None:
    humans = ["yes"] * 3 + ["no"] * 7
    # Without one of the three: 2/3 (three times); without one of the seven: 3/3.
    assert vqa_score("yes", humans) == pytest.approx((3 * 2 / 3 + 7) / 10)
    assert vqa_score("no", humans) == 1
    assert vqa_score("yes", ["yes"] + ["no"] * 9) == pytest.approx(9 / 10 / 3)
    assert vqa_score("maybe", humans) == 0


def test_answers_are_normalised_only_where_people_differ() -> None:
    assert vqa_score("Two", ["two"] * 5 + ["2"] * 5) == 1
    assert vqa_score("2", ["two"] * 10) == 0
    assert vqa_score(" two\n", ["two"] * 10) == 1


def test_one_person_is_scored_by_equality() -> None:
    assert vqa_score("A dog.", ["dog"]) == 1
    assert vqa_score("cat", ["dog"]) == 0


def test_accuracy_is_the_mean_over_questions() -> None:
    assert vqa_accuracy(["yes", "blue"], [["yes"] * 10, ["red"] * 10]) == 0.5


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one person"):
        vqa_score("yes", [])
    with pytest.raises(ValueError, match="1 answers and 2 questions"):
        vqa_accuracy(["yes"], [["yes"], ["no"]])


@pytest.mark.parametrize(
    ("question", "family"),
    [
        ("What  color is it?", "what color"),
        ("what is there?", "what"),
        ("how many?", "other"),
        ("how many dogs?", "how many"),
        ("Is it?", "is"),
        ("whatever", "other"),
        ("", "other"),
    ],
)
def test_families_of_questions(question: str, family: str) -> None:
    assert question_family(question) == family
