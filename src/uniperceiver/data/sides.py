"""Left and right in texts about a picture that is mirrored."""

from __future__ import annotations

import re

_SIDES = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}
_WORD = re.compile(rf"\b({'|'.join(_SIDES)})\b")


def with_sides_swapped(text: str) -> str:
    """The text with the words left and right in each other's place, whatever they mean in it."""
    return _WORD.sub(lambda word: _SIDES[word[0]], text)
