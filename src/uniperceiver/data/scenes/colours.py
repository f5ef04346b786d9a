"""Colours that have a name in captions, questions and answers."""

from __future__ import annotations

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (210, 40, 40),
    "orange": (245, 135, 30),
    "yellow": (248, 218, 60),
    "green": (55, 160, 75),
    "blue": (50, 100, 215),
    "purple": (130, 65, 175),
    "pink": (245, 130, 190),
    "gray": (135, 135, 135),
    "white": (238, 238, 238),
}
"""Name → RGB. Spelt the American way, as in COCO's captions and VQAv2's answers."""

OBJECT_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
"""Colours of drawn shapes and of tinted cut-outs."""

BACKGROUND_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "gray", "white")
