"""True sentences about a clip: what moves in which direction, and what stays where it is."""

from __future__ import annotations

from uniperceiver.data.scenes.layout import Layout
from uniperceiver.data.scenes.motion import MovingLayout
from uniperceiver.data.scenes.sentences import background_of, groups_of
from uniperceiver.data.scenes.words import NUMBERS, joined


def motion_captions(clip: MovingLayout) -> tuple[str, ...]:
    """`sentences.CAPTIONS` captions; each says what moves and in which direction, four say what else there is."""
    movers, resting = clip.movers(), clip.resting()
    number, total = len(movers.objects), len(clip.middle.objects)
    background = background_of(clip.middle)
    moved = f"{_things(movers)} {_move(number)} {clip.direction}"
    coloured = f"{_things(movers, with_colour=True)} {_move(number)} {clip.direction}"
    counted = NUMBERS[number] if number == total else f"{NUMBERS[number]} of {NUMBERS[total]}"
    objects = "object" if total == 1 else "objects"
    summed = f"{counted} {objects} {_move(number)} {clip.direction}: {_things(movers)}"
    on_background = f"{_things(movers)} moving {clip.direction} on {background}"
    if not resting.objects:
        return coloured, on_background, f"on {background} {moved}", summed, f"a clip of {on_background}"
    stays = "stays where it is" if len(resting.objects) == 1 else "stay where they are"
    left = f"{_things(resting)} {stays}"
    return (
        f"{coloured}, {_things(resting, with_colour=True)} {stays}",
        on_background,
        f"{moved} while {left}",
        f"{summed}; {left}",
        f"{left}, and {coloured}",
    )


def _things(layout: Layout, with_colour: bool = False) -> str:
    return joined(groups_of(layout, with_colour))


def _move(number: int) -> str:
    return "moves" if number == 1 else "move"
