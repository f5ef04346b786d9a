from __future__ import annotations

import pytest

from uniperceiver.data.scenes.words import article, counted, is_plural, joined, plural


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [("apple", "an"), ("dog", "a"), ("unicorn", "a"), ("umbrella", "an"), ("hourglass", "an"), ("orange dog", "an")],
)
def test_article_follows_the_sound(phrase: str, expected: str) -> None:
    assert article(phrase) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dog", "dogs"), ("red apple", "red apples"), ("wolf", "wolves"), ("cherry", "cherries"), ("key", "keys"),
        ("fox", "foxes"), ("bus", "buses"), ("torch", "torches"), ("sheep", "sheep"), ("fish", "fish"),
        ("snowman", "snowmen"), ("human", "humans"), ("mouse", "mice"), ("scissors", "scissors"), ("cross", "crosses"),
        ("octopus", "octopuses"), ("maple leaf", "maple leaves"), ("wine glass", "wine glasses"),
    ],
)  # fmt: skip
def test_plurals(name: str, expected: str) -> None:
    assert plural(name) == expected


def test_plural_names_are_counted_in_pairs_or_sets() -> None:
    assert counted(1, "scissors") == "a pair of scissors"
    assert counted(2, "dark sunglasses", "red") == "two red pairs of dark sunglasses"
    assert counted(3, "grapes") == "three sets of grapes"
    assert not is_plural("compass")
    assert not is_plural("rhinoceros")


def test_counts_and_lists() -> None:
    assert counted(1, "owl", "small") == "a small owl"
    assert counted(12, "owl") == "twelve owls"
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
