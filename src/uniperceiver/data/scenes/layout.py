"""What is where in a scene: a pure function of (seed, part, index), decided without touching a pixel."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from uniperceiver.data.scenes.colours import BACKGROUND_COLOURS, COLOURS, OBJECT_COLOURS
from uniperceiver.data.scenes.cutouts import Outline

MAX_ROTATION = 20.0
"""Degrees, either way."""
REPEATED = 0.45
"""Share of scenes of two and more objects in which one class comes several times."""
MOST_REPEATED = 4
ATTEMPTS = 30
"""Places tried for an object before the scene goes on without it; every eighth makes it smaller."""
MARGIN = 0.12
"""One object is left of another when their centres are this far apart, in widths of the scene."""
Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels."""


@dataclass(frozen=True)
class Choice:
    """A cut-out that scenes may show."""

    label: int
    name: str
    index: int
    """In the source's cut-outs."""
    colour: str | None
    outline: Outline


@dataclass(frozen=True)
class PlacedObject:
    """One object of a scene; later objects lie over earlier ones."""

    label: int
    name: str
    cutout: int
    colour: str | None
    """Its named colour: a drawn shape's own, or the tint. None: natural colours, of which nothing is said."""
    is_tinted: bool
    angle: float
    """Radians, clockwise."""
    scale: float
    """Pixels of the scene per pixel of the cut-out."""
    is_mirrored: bool
    centre: tuple[float, float]
    """Where the cut-out's centre lies, x and y in pixels."""
    box: Box
    """Before anything lies over it."""
    area: float
    """Opaque pixels before anything lies over them."""
    gain: tuple[float, float, float]
    """Tone: factors of red, green and blue."""

    @property
    def x(self) -> float:
        """Middle of the box."""
        return (self.box[0] + self.box[2]) / 2

    @property
    def y(self) -> float:
        """Middle of the box."""
        return (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Layout:
    """A scene before it is painted."""

    objects: tuple[PlacedObject, ...]
    """At least one."""
    background: str | None
    """Name of its colour; None: a photograph."""
    size: int
    """Height and width in pixels."""
    paint_seed: int
    """For what labels do not speak of: texture, clutter."""

    def counts(self) -> dict[str, int]:
        """Name → how many, by the leftmost of each."""
        counts: dict[str, int] = {}
        for placed in sorted(self.objects, key=lambda o: o.x):
            counts[placed.name] = counts.get(placed.name, 0) + 1
        return counts

    def is_left(self, a: PlacedObject, b: PlacedObject) -> bool:
        """Whether a is clearly to the left of b."""
        return b.x - a.x > MARGIN * self.size

    def is_above(self, a: PlacedObject, b: PlacedObject) -> bool:
        """Whether a is clearly above b."""
        return b.y - a.y > MARGIN * self.size


@dataclass(frozen=True)
class SceneRules:
    """How scenes are laid out."""

    size: int
    """Height and width in pixels."""
    objects: tuple[int, int]
    """Fewest and most objects. Fewer are placed where there is no room."""
    scale: tuple[float, float]
    """Range of an object's longer side, in sides of the scene."""
    occlusion: float
    """Largest part of an object that others hide."""
    tinted: float
    """Share of the objects of no known colour that are tinted with a named one."""
    photographed: float = 0.0
    """Share of the scenes on photographs."""


def lay_out(choices: Sequence[Sequence[Choice]], rules: SceneRules, key: str, label: int | None = None) -> Layout:
    """The scene of a key.

    Args:
        choices: for each label, its cut-outs.
        rules: what scenes are like.
        key: equal keys give equal scenes, whatever the machine.
        label: the one object's class; None: objects of random classes.
    """
    draw = random.Random(key)
    background = draw.choice(BACKGROUND_COLOURS)
    labels = draw_labels(draw, len(choices), rules.objects) if label is None else [label]
    placed: list[PlacedObject] = []
    for chosen in labels:
        choice = draw_cutout(draw, choices[chosen], background)
        found = place_object(draw, choice, rules, background, lambda box: hides_little(box, placed, rules.occlusion))
        if found is not None:
            placed.append(found)
    return Layout(tuple(placed), shown_background(background, rules, key), rules.size, draw.getrandbits(63))


def shown_background(colour: str, rules: SceneRules, key: str) -> str | None:
    """The background of a key's scene: of that colour, or a photograph (None).

    Drawn apart, so that scenes are the same with photographs and without, but for their background.
    """
    is_photographed = random.Random(f"{key}/photographed").random() < rules.photographed
    return None if is_photographed else colour


def draw_cutout(draw: random.Random, candidates: Sequence[Choice], background: str) -> Choice:
    """One of the cut-outs of a class, of another colour than the background where there is any."""
    return draw.choice([c for c in candidates if c.colour != background] or candidates)


def draw_labels(draw: random.Random, classes: int, objects: tuple[int, int]) -> list[int]:
    """Classes of the objects of one scene: different ones, but for one that may come several times."""
    number = draw.randint(*objects)
    copies = 1
    if number >= 2 and draw.random() < REPEATED:
        copies = draw.randint(2, min(number, MOST_REPEATED))
    different = min(classes, number - copies + 1)
    labels = draw.sample(range(classes), different)
    labels += [labels[0]] * (number - different)
    draw.shuffle(labels)
    return labels


def place_object(
    draw: random.Random,
    choice: Choice,
    rules: SceneRules,
    background: str,
    is_free: Callable[[Box], bool],
    room: float = 0.0,
) -> PlacedObject | None:
    """An object at a place where it fits; None when none was found.

    Args:
        draw: what all of the scene is drawn from.
        choice: the cut-out.
        rules: what scenes are like.
        background: its colour, which no tint has.
        is_free: whether a box may be taken.
        room: pixels that are left between the object and the sides of the picture.
    """
    low, high = rules.scale
    side = rules.size * draw.uniform(low, high)
    tint = _tint(draw, choice, rules, background)
    angle = math.radians(draw.uniform(-MAX_ROTATION, MAX_ROTATION))
    is_mirrored = draw.random() < 0.5
    gain = _tone(draw)
    turned = _turned(choice.outline.hull, angle, is_mirrored)
    lows, highs = turned.min(axis=0).tolist(), turned.max(axis=0).tolist()
    for attempt in range(ATTEMPTS):
        if attempt % 8 == 7:
            side = max(low * rules.size, 0.8 * side)
        scale = _fitting(side / choice.outline.side, lows, highs, rules.size - 2 * room)
        x, y = (
            draw.uniform(room - scale * least, rules.size - room - scale * most)
            for least, most in zip(lows, highs, strict=True)
        )
        box = (x + scale * lows[0], y + scale * lows[1], x + scale * highs[0], y + scale * highs[1])
        if is_free(box):
            return PlacedObject(
                label=choice.label,
                name=choice.name,
                cutout=choice.index,
                colour=tint or choice.colour,
                is_tinted=tint is not None,
                angle=angle,
                scale=scale,
                is_mirrored=is_mirrored,
                centre=(x, y),
                box=box,
                area=choice.outline.area * scale**2,
                gain=gain,
            )
    return None


def _tint(draw: random.Random, choice: Choice, rules: SceneRules, background: str) -> str | None:
    """A named colour for a cut-out of no known one; None: it keeps its own."""
    if choice.colour is not None or _names_a_colour(choice.name) or draw.random() >= rules.tinted:
        return None
    return draw.choice([colour for colour in OBJECT_COLOURS if colour != background])


def _tone(draw: random.Random) -> tuple[float, float, float]:
    """Factors of red, green and blue."""
    brightness = draw.uniform(0.85, 1.1)
    red, green, blue = (brightness * draw.uniform(0.95, 1.05) for _ in range(3))
    return red, green, blue


def _names_a_colour(name: str) -> bool:
    return not COLOURS.keys().isdisjoint(name.split()) or "black" in name.split()


def _turned(hull: np.ndarray, angle: float, is_mirrored: bool) -> np.ndarray:
    x, y = (-hull[:, 0] if is_mirrored else hull[:, 0]), hull[:, 1]
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def _fitting(scale: float, lows: Sequence[float], highs: Sequence[float], size: float) -> float:
    """``scale``, or as much of it as fits into a square."""
    return min(scale, 0.98 * size / max(high - low for low, high in zip(lows, highs, strict=True)))


def hides_little(box: Box, others: Sequence[PlacedObject], occlusion: float) -> bool:
    """Whether an object in ``box`` keeps the others visible; boxes bound what is hidden.

    The others may have been placed over one another: what all later boxes share with an object's box counts. Nothing is
    hidden by the first object.
    """
    for place, other in enumerate(others):
        hidden = _shared(box, other.box) + sum(_shared(later.box, other.box) for later in others[place + 1 :])
        if hidden > occlusion * other.area:
            return False
    return True


def _shared(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0
