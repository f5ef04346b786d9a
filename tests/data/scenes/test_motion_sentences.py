"""Captions of clips, against the painted frames."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.layout import PlacedObject
from uniperceiver.data.scenes.motion import DIRECTIONS, MovingLayout
from uniperceiver.data.scenes.motion_sentences import motion_captions
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.data.scenes.sentences import CAPTIONS
from uniperceiver.data.scenes.words import NUMBERS
from uniperceiver.evaluation.object_names import NameFinder


@pytest.fixture(scope="module")
def source() -> SceneSource:
    return SceneSource(ScenesConfig(view="motion_captions", split="train", images=60, size=128, frames=2, occlusion=0))


def seen(source: SceneSource, clip: MovingLayout) -> tuple[str, list[PlacedObject], list[PlacedObject]]:
    """The direction in which pixels move, what moves, and what does not."""
    first, last = (source.paint(clip.frame(number)).masks for number in (0, 1))
    moving, resting, directions = [], [], set()
    for placed, before, after in zip(clip.middle.objects, first, last, strict=True):
        way = [a.mean() - b.mean() for a, b in zip(np.nonzero(after)[::-1], np.nonzero(before)[::-1], strict=True)]
        if max(map(abs, way)) < 0.1 * clip.middle.size:
            resting.append(placed)
            continue
        moving.append(placed)
        directions.add(max(DIRECTIONS, key=lambda name: float(np.dot(way, DIRECTIONS[name]))))
    (direction,) = directions
    return direction, moving, resting


def test_captions_say_what_the_pixels_do(source: SceneSource) -> None:
    finder = NameFinder(source.names)
    kinds = set()
    for index in range(len(source)):
        clip = source.clip(index)
        direction, moving, resting = seen(source, clip)
        captions = source.motion_captions(index)
        assert len(captions) == len(set(captions)) == CAPTIONS
        for caption in captions:
            assert [word for word in DIRECTIONS if re.search(rf"mov\w+ {word}\b", caption)] == [direction], caption
        moved, rests = ({placed.name for placed in part} for part in (moving, resting))
        kinds.add((len(moving) > 1, min(2, len(resting))))
        assert finder.names_in(captions[1]) == moved
        if resting:
            left, right = captions[2].split(" while ")
            assert (finder.names_in(left), finder.names_in(right)) == (moved, rests)
            total = NUMBERS[len(moving) + len(resting)]
            assert captions[3].startswith(f"{NUMBERS[len(moving)]} of {total} objects ")
            back, front = captions[4].split(", and ")
            assert (finder.names_in(front), finder.names_in(back)) == (moved, rests)
        else:
            assert not any("stay" in caption for caption in captions)
    assert kinds == {(several, rest) for several in (False, True) for rest in (0, 1, 2)}


def test_colours_are_those_of_the_objects(source: SceneSource) -> None:
    for index in range(len(source)):
        clip = source.clip(index)
        said = re.split(r" moves? ", source.motion_captions(index)[0])[0]
        for placed in clip.movers().objects:
            if clip.movers().counts()[placed.name] == 1:
                assert f"{placed.colour} {placed.name}" in said


def test_grammar(source: SceneSource) -> None:
    clip = next(
        clip for clip in map(source.clip, range(60)) if len(clip.middle.objects) == 2 and clip.distances[1] == 0
    )
    cup, dog = (
        replace(placed, name=name, colour=colour)
        for placed, name, colour in zip(clip.middle.objects, ("cup", "dog"), ("red", None), strict=True)
    )
    clip = replace(clip, middle=replace(clip.middle, objects=(cup, dog), background="blue"), direction="to the left")
    assert motion_captions(clip) == (
        "a red cup moves to the left, a dog stays where it is",
        "a cup moving to the left on a blue background",
        "a cup moves to the left while a dog stays where it is",
        "one of two objects moves to the left: a cup; a dog stays where it is",
        "a dog stays where it is, and a red cup moves to the left",
    )
    both = replace(clip, middle=replace(clip.middle, objects=(cup, replace(cup, colour="green"))), distances=(9.0, 9.0))
    assert motion_captions(both) == (
        "two cups move to the left",
        "two cups moving to the left on a blue background",
        "on a blue background two cups move to the left",
        "two objects move to the left: two cups",
        "a clip of two cups moving to the left on a blue background",
    )
    scissors = replace(clip.middle, objects=(replace(dog, name="scissors"), cup, replace(dog, name="cat")))
    some = replace(clip, middle=scissors, distances=(9.0, 0.0, 0.0))
    captions = motion_captions(some)
    assert captions[0].startswith("a pair of scissors moves to the left, ")
    assert captions[0].endswith(" stay where they are")
