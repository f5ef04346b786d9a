"""Questions about a layout that have one right answer, in families none of which a constant answers well."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from uniperceiver.data.scenes.layout import Layout, PlacedObject
from uniperceiver.data.scenes.sentences import OPPOSITE, only_ones, relation
from uniperceiver.data.scenes.words import counted, is_plural, plural

FAMILIES = {"what": 0.35, "how many": 0.2, "is": 0.2, "what color": 0.25}
"""Families and their shares; a question begins with its family's words."""
LARGER = 1.6
"""The largest object's area over the second's, and the second smallest's over the smallest's."""
ATTEMPTS = 40
COUNT_SHARES = {1: 0.2, 2: 1.0, 3: 1.0, 4: 1.0}
"""How readily "how many" is asked of a name, by the answer: scenes have ever fewer of the higher numbers."""


class Question(NamedTuple):
    """A question and its answer."""

    text: str
    answer: str


Family = Callable[[Layout, Sequence[str], random.Random], Question | None]


def questions(layout: Layout, names: Sequence[str], number: int, key: str) -> list[Question]:
    """``number`` questions about a layout, all different where it offers as many.

    Args:
        layout: what is asked about.
        names: all names of the data set: what might be there.
        number: how many.
        key: equal keys give equal questions.
    """
    draw = random.Random(key)
    asked: list[Question] = []
    while len(asked) < number:
        asked.append(_new_question(layout, names, draw, {question.text for question in asked}))
    return asked


def _new_question(layout: Layout, names: Sequence[str], draw: random.Random, known: set[str]) -> Question:
    families: dict[str, tuple[Family, ...]] = {
        "what": (_what_at_side, _what_beside, _what_size),
        "how many": (_how_many_of_name, _how_many_of_name, _how_many_objects),
        "is": (_is_there, _is_there_coloured, _is_relation),
        "what color": (_colour_of_background, _colour_of_object),
    }
    for _ in range(ATTEMPTS):
        family = draw.choices(list(FAMILIES), weights=list(FAMILIES.values()))[0]
        question = draw.choice(families[family])(layout, names, draw)
        if question is not None and question.text not in known:
            return question
    return _colour_of_background(layout, names, draw) or _how_many_objects(layout, names, draw)


# --- what -------------------------------------------------------------------------------------------------------------


def _what_at_side(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    """Of at least two objects, the one that is clearly furthest to a side."""
    if len(layout.objects) < 2:
        return None
    side = draw.choice(("on the left", "on the right", "at the top", "at the bottom"))
    towards = {
        "on the left": lambda a, b: layout.is_left(a, b),
        "on the right": lambda a, b: layout.is_left(b, a),
        "at the top": lambda a, b: layout.is_above(a, b),
        "at the bottom": lambda a, b: layout.is_above(b, a),
    }[side]
    return _answered_by(f"what is {side}?", [o for o in layout.objects if _is_beyond_all(o, layout, towards)])


def _what_beside(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    """The only object on one side of an object that is the only one of its name."""
    known = only_ones(layout)
    if not known:
        return None
    the = draw.choice(known)
    others = [placed for placed in layout.objects if placed is not the]
    side = draw.choice(list(OPPOSITE))
    if side in {"to the left of", "to the right of"}:
        offsets = [
            (placed, (placed.x - the.x) if side == "to the right of" else (the.x - placed.x)) for placed in others
        ]
        clear = [placed for placed in others if layout.is_left(placed, the) or layout.is_left(the, placed)]
    else:
        offsets = [(placed, (placed.y - the.y) if side == "below" else (the.y - placed.y)) for placed in others]
        clear = [placed for placed in others if layout.is_above(placed, the) or layout.is_above(the, placed)]
    if len(clear) < len(others):
        return None
    return _answered_by(f"what is {side} the {the.name}?", [placed for placed, offset in offsets if offset > 0])


def _what_size(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    if len(layout.objects) < 2:
        return None
    ordered = sorted(layout.objects, key=lambda placed: placed.area)
    if draw.random() < 0.5:
        clear = ordered[-1].area > LARGER * ordered[-2].area
        return _answered_by("what is the largest object?", ordered[-1:]) if clear else None
    clear = ordered[1].area > LARGER * ordered[0].area
    return _answered_by("what is the smallest object?", ordered[:1]) if clear else None


def _is_beyond_all(placed: PlacedObject, layout: Layout, towards: Callable[[PlacedObject, PlacedObject], bool]) -> bool:
    return all(towards(placed, other) for other in layout.objects if other is not placed)


def _answered_by(text: str, objects: Sequence[PlacedObject]) -> Question | None:
    return Question(text, objects[0].name) if len(objects) == 1 else None


# --- how many ---------------------------------------------------------------------------------------------------------


def _how_many_of_name(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    """Asked of a name that comes once less readily than of one that comes several times."""
    counts = {name: number for name, number in layout.counts().items() if not is_plural(name)}
    if not counts:
        return None
    name = draw.choice(list(counts))
    if draw.random() > COUNT_SHARES[min(counts[name], max(COUNT_SHARES))]:
        return None
    return Question(f"how many {plural(name)} are there?", str(counts[name]))


def _how_many_objects(layout: Layout, names: Sequence[str], draw: random.Random) -> Question:
    return Question("how many objects are there?", str(len(layout.objects)))


# --- is … -------------------------------------------------------------------------------------------------------------


def _is_there(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    """Yes as often as no; not asked where the scene has every name."""
    present = list(layout.counts())
    absent = draw.choice(names)
    if absent in present:
        return None
    is_there = draw.random() < 0.5
    return Question(f"is there {counted(1, draw.choice(present) if is_there else absent)}?", _yes(is_there))


def _is_there_coloured(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    """Of a named colour and a name that are both there: together (yes), or apart (no), as often."""
    coloured = [placed for placed in layout.objects if placed.colour is not None]
    if not coloured:
        return None
    one, other = draw.choice(coloured), draw.choice(coloured)
    # An untinted object of the name might have the colour by nature, so every one of them must have a named one.
    of_name = [placed.colour for placed in layout.objects if placed.name == one.name]
    if None in of_name or other.colour in of_name:
        return None
    is_there = draw.random() < 0.5
    colour = one.colour if is_there else other.colour
    return Question(f"is there {counted(1, one.name, str(colour))}?", _yes(is_there))


def _is_relation(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    found = relation(layout, draw)
    if found is None:
        return None
    side, a, b = found
    if is_plural(a.name):
        return None
    is_true = draw.random() < 0.5
    asked = side if is_true else OPPOSITE[side]
    return Question(f"is the {a.name} {asked} the {b.name}?", _yes(is_true))


def _yes(is_true: bool) -> str:
    return "yes" if is_true else "no"


# --- what color -------------------------------------------------------------------------------------------------------


def _colour_of_background(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    return None if layout.background is None else Question("what color is the background?", layout.background)


def _colour_of_object(layout: Layout, names: Sequence[str], draw: random.Random) -> Question | None:
    """Of an object whose colour is not its name's: a drawn shape or a tinted cut-out."""
    coloured = [placed for placed in only_ones(layout) if placed.colour is not None and not is_plural(placed.name)]
    if not coloured:
        return None
    placed = draw.choice(coloured)
    return Question(f"what color is the {placed.name}?", str(placed.colour))
