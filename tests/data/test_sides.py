from __future__ import annotations

import pytest

from uniperceiver.data.sides import with_sides_swapped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("is the left or the right dog black?", "is the right or the left dog black?"),
        ("Left hand?", "Right hand?"),
        ("RIGHT", "LEFT"),
        ("on left", "on right"),
        ("the right-hand side", "the left-hand side"),
        ("is the light bright? leftovers, copyright", "is the light bright? leftovers, copyright"),
    ],
)
def test_words_are_swapped_and_parts_of_words_are_not(text: str, expected: str) -> None:
    assert with_sides_swapped(text) == expected
    assert with_sides_swapped(expected) == text
