"""What moves where in a clip: a pure function of (seed, part, index), as `layout` is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from uniperceiver.data.scenes.colours import BACKGROUND_COLOURS
from uniperceiver.data.scenes.layout import (
    Box,
    Choice,
    Layout,
    PlacedObject,
    SceneRules,
    draw_cutout,
    draw_labels,
    hides_little,
    place_object,
    shown_background,
)

DIRECTIONS: dict[str, tuple[int, int]] = {
    "to the left": (-1, 0),
    "to the right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
}
"""Direction → its x and y, y downwards."""
MOTIONS = tuple(f"moving {direction}" for direction in DIRECTIONS)
"""Classes of clips."""
MOST_MOVERS = 2
DISTANCE = (0.2, 0.35)
"""Range of the way of an object that moves, in sides of the picture, from the first frame to the last."""


@dataclass(frozen=True)
class MovingLayout:
    """A clip before it is painted: some objects move in one direction, the others stay where they are."""

    middle: Layout
    """Half-way through the clip; of this moment nothing depends on the direction."""
    distances: tuple[float, ...]
    """Of each object, in pixels; 0: it stays where it is. The first object moves."""
    direction: str
    """Of `DIRECTIONS`."""
    frames: int
    """T, at least 2."""

    @property
    def label(self) -> int:
        """Index into `MOTIONS`."""
        return list(DIRECTIONS).index(self.direction)

    def movers(self) -> Layout:
        """Half-way through the clip, without what stays where it is."""
        return self._chosen(True)

    def resting(self) -> Layout:
        """What stays where it is, perhaps nothing."""
        return self._chosen(False)

    def _chosen(self, moves: bool) -> Layout:
        chosen = zip(self.middle.objects, self.distances, strict=True)
        return replace(self.middle, objects=tuple(placed for placed, way in chosen if (way > 0) == moves))

    def frame(self, number: int) -> Layout:
        """What is where in a frame, the first being 0.

        Raises:
            IndexError: the clip has no such frame.
        """
        if not 0 <= number < self.frames:
            raise IndexError(f"frame {number} of {self.frames}")
        # Of two integers, so that a clip to the left is exactly one to the right run backwards.
        share = (2 * number - (self.frames - 1)) / (2 * (self.frames - 1))
        x, y = DIRECTIONS[self.direction]
        objects = tuple(
            _shifted(placed, x * share * way, y * share * way) if way else placed
            for placed, way in zip(self.middle.objects, self.distances, strict=True)
        )
        return replace(self.middle, objects=objects)


def lay_out_clip(
    choices: Sequence[Sequence[Choice]], rules: SceneRules, key: str, direction: str, frames: int
) -> MovingLayout:
    """The clip of a key.

    Objects that move have room in all four directions, and other objects keep out of all four ways as they keep out of
    one another: hence the direction tells nothing of the middle of the clip, nor that of the direction.

    Args:
        choices: for each label, its cut-outs.
        rules: what scenes are like.
        key: equal keys give the same objects at the same places half-way through the clip.
        direction: one of `DIRECTIONS`.
        frames: T, at least 2.
    """
    draw = random.Random(key)
    background = draw.choice(BACKGROUND_COLOURS)
    labels = draw_labels(draw, len(choices), rules.objects)
    movers = draw.randint(1, min(MOST_MOVERS, len(labels)))
    placed: list[PlacedObject] = []
    distances: list[float] = []
    reaches: list[PlacedObject] = []
    for number, label in enumerate(labels):
        distance = rules.size * draw.uniform(*DISTANCE) if number < movers else 0.0
        is_free = _stays_clear(reaches, rules.occlusion, distance / 2)
        found = place_object(
            draw, draw_cutout(draw, choices[label], background), rules, background, is_free, distance / 2
        )
        if found is not None:
            placed.append(found)
            distances.append(distance)
            reaches.append(replace(found, box=_grown(found.box, distance / 2)))
    return MovingLayout(
        Layout(tuple(placed), shown_background(background, rules, key), rules.size, draw.getrandbits(63)),
        tuple(distances),
        direction,
        frames,
    )


def _stays_clear(reaches: Sequence[PlacedObject], occlusion: float, room: float) -> Callable[[Box], bool]:
    """Whether an object in a box keeps the others visible at all times; their boxes are those of all their ways."""
    return lambda box: hides_little(_grown(box, room), reaches, occlusion)


def _shifted(placed: PlacedObject, dx: float, dy: float) -> PlacedObject:
    x, y = placed.centre
    x0, y0, x1, y1 = placed.box
    return replace(placed, centre=(x + dx, y + dy), box=(x0 + dx, y0 + dy, x1 + dx, y1 + dy))


def _grown(box: Box, room: float) -> Box:
    """All places of a box that moves by up to ``room``, whichever way."""
    x0, y0, x1, y1 = box
    return (x0 - room, y0 - room, x1 + room, y1 + room)
