from __future__ import annotations

import pytest

from uniperceiver.evaluation.object_names import NameFinder, best_constant_names, name_scores

NAMES = ("apple", "green apple", "dog", "hot dog", "t-shirt", "wolf", "scissors")


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("a green apple and two wolves", {"green apple", "wolf"}),
        ("green apples beside apples", {"green apple", "apple"}),
        ("three hot dogs", {"hot dog"}),
        ("a t - shirt, a T-shirt", {"t-shirt"}),
        ("a pair of scissors on a doghouse", {"scissors"}),
        ("", set()),
        ("green", set()),
    ],
)
def test_names_in_captions(caption: str, names: set[str]) -> None:
    assert NameFinder(NAMES).names_in(caption) == names


def test_scores_are_counted_over_all_pictures() -> None:
    found = [frozenset({"a", "b"}), frozenset({"c"}), frozenset[str]()]
    shown = [frozenset({"a"}), frozenset({"c"}), frozenset({"a", "b"})]
    scores = name_scores(found, shown)
    assert scores == pytest.approx({"name_f1": 4 / 7, "name_precision": 2 / 3, "name_recall": 0.5, "name_exact": 1 / 3})
    assert name_scores([frozenset()] * 3, shown)["name_f1"] == 0
    with pytest.raises(ValueError, match="2 for 3 pictures"):
        name_scores(found[:2], shown)


def test_the_best_constant_says_as_many_names_as_pay() -> None:
    shown = [frozenset({"a", "b"}), frozenset({"a"}), frozenset({"a"}), frozenset({"c"})]
    best = best_constant_names(shown)
    assert best == {"a"}
    assert name_scores([best] * 4, shown)["name_f1"] == pytest.approx(2 / 3)
