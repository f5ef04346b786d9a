"""True sentences about a layout: captions, and statements that a masked word can be told from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

from uniperceiver.data.scenes.layout import Layout, PlacedObject
from uniperceiver.data.scenes.words import NUMBERS, be, counted, is_plural, joined, plural

CAPTIONS = 5
STATEMENTS = 4
SIZE_RATIO = 1.8
"""Of two objects, one is called large and the other small when their areas are this far apart."""
Relation = tuple[str, PlacedObject, PlacedObject]
"""A side, what lies there, and of what."""


def captions(layout: Layout) -> tuple[str, ...]:
    """`CAPTIONS` captions. Each names every object; lists go from left to right, so what comes next can be seen.

    With one object: its colour, its place and the background instead of counts and relations.
    """
    background = background_of(layout)
    listed = joined(groups_of(layout))
    number = len(layout.objects)
    things = "one object" if number == 1 else f"{NUMBERS[number]} objects"
    return (
        f"{listed} on {background}",
        f"a picture of {joined(groups_of(layout, with_colour=True))}",
        _relation_caption(layout),
        f"{things} on {background}: {listed}",
        _place_caption(layout),
    )


def statements(layout: Layout, key: str) -> tuple[str, ...]:
    """`STATEMENTS` sentences that say something twice, so that either half tells a masked word of the other."""
    draw = random.Random(key)
    counts = layout.counts()
    name = draw.choice(list(counts))
    number = counts[name]
    total = len(layout.objects)
    groups = [counted(n, each) for each, n in counts.items()]
    things = "one object" if total == 1 else f"{NUMBERS[total]} objects"
    pair = relation(layout, draw)
    return (
        f"how many {_several(name)} are there? there {be(number)} {counted(number, name)}.",
        f"{joined(groups)} {be(total)} {things}.",
        f"the background is {layout.background or 'a photograph'}: {joined(groups)} on {background_of(layout)}.",
        f"there {be(number)} {counted(number, name)}." if pair is None else _both_ways(*pair),
    )


def relation(layout: Layout, draw: random.Random) -> Relation | None:
    """A side on which one object clearly lies of another, each the only one of its name; None if there is no such pair.

    The side is the axis on which they are further apart.
    """
    found = _relations(layout)
    return draw.choice(found) if found else None


def _relations(layout: Layout) -> list[Relation]:
    found: list[Relation] = []
    for a, b in permutations(only_ones(layout), 2):
        if abs(a.x - b.x) >= abs(a.y - b.y):
            if layout.is_left(a, b):
                found += [("to the left of", a, b), ("to the right of", b, a)]
        elif layout.is_above(a, b):
            found += [("above", a, b), ("below", b, a)]
    return found


def only_ones(layout: Layout) -> list[PlacedObject]:
    """Objects that are the only ones of their name: "the dog" is clear."""
    counts = layout.counts()
    return [placed for placed in layout.objects if counts[placed.name] == 1]


OPPOSITE = {
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "above": "below",
    "below": "above",
}


def background_of(layout: Layout) -> str:
    """``a blue background``, ``a photograph``."""
    return "a photograph" if layout.background is None else counted(1, "background", layout.background)


def _both_ways(side: str, a: PlacedObject, b: PlacedObject) -> str:
    the_a, the_b = f"the {a.name}", f"the {b.name}"
    return f"{the_a} {_be(a)} {side} {the_b}, so {the_b} {_be(b)} {OPPOSITE[side]} {the_a}."


def _be(placed: PlacedObject) -> str:
    return "are" if is_plural(placed.name) else "is"


def _several(name: str) -> str:
    """What one asks "how many … are there" with."""
    return counted(2, name).removeprefix("two ") if is_plural(name) else plural(name)


def groups_of(layout: Layout, with_colour: bool = False, without: Sequence[PlacedObject] = ()) -> list[str]:
    """``two dogs``, ``a red cup``: what there is, by the leftmost of each name."""
    groups = []
    for name in layout.counts():
        members = [placed for placed in layout.objects if placed.name == name and placed not in without]
        colours = {placed.colour for placed in members}
        colour = colours.pop() if with_colour and len(colours) == 1 else None
        if members:
            groups.append(counted(len(members), name, colour or ""))
    return groups


def _relation_caption(layout: Layout) -> str:
    """``a large dog to the left of a cat, and two cups``; it begins with what lies furthest to the left."""
    found = _relations(layout)
    if not found:
        return f"there {be(_first_count(layout))} {joined(groups_of(layout, with_colour=True))}"
    side, a, b = min(found, key=lambda relation: (relation[1].x, relation[2].x))
    sizes = ("", "")
    if a.area > SIZE_RATIO * b.area:
        sizes = ("large", "small")
    elif b.area > SIZE_RATIO * a.area:
        sizes = ("small", "large")
    sentence = f"{counted(1, a.name, sizes[0])} {side} {counted(1, b.name, sizes[1])}"
    rest = groups_of(layout, without=(a, b))
    return f"{sentence}, and {joined(rest)}" if rest else sentence


def _first_count(layout: Layout) -> int:
    return next(iter(layout.counts().values()))


def _place_caption(layout: Layout) -> str:
    """``a dog on the left, a cat in the middle and two cups on the right``."""
    thirds: dict[str, dict[str, int]] = {"on the left": {}, "in the middle": {}, "on the right": {}}
    for placed in sorted(layout.objects, key=lambda o: o.x):
        counts = list(thirds.values())[min(2, int(3 * placed.x / layout.size))]
        counts[placed.name] = counts.get(placed.name, 0) + 1
    return joined(
        [
            f"{joined([counted(n, name) for name, n in counts.items()])} {place}"
            for place, counts in thirds.items()
            if counts
        ]
    )
