"""Clips, as laid out and as painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.composition import Scene
from uniperceiver.data.scenes.layout import SceneRules
from uniperceiver.data.scenes.motion import DIRECTIONS, DISTANCE, MOST_MOVERS, MovingLayout, lay_out_clip
from uniperceiver.data.scenes.scene_source import SceneSource

SIZE = 128
RULES = SceneRules(size=SIZE, objects=(1, 6), scale=(0.16, 0.35), occlusion=0.3, tinted=0.5)


@pytest.fixture(scope="module")
def source() -> SceneSource:
    """Three frames a clip: the first, the middle and the last."""
    return SceneSource(ScenesConfig(view="motions", split="train", images=80, size=SIZE, frames=3))


@pytest.fixture(scope="module")
def apart() -> SceneSource:
    """Nothing hides anything."""
    return SceneSource(ScenesConfig(view="motions", split="train", images=60, size=SIZE, frames=3, occlusion=0.0))


def centroids(scene: Scene) -> np.ndarray:
    """(n, 2) mean x and y of the pixels of every object."""
    return np.array([[axis.mean() for axis in np.nonzero(mask)[::-1]] for mask in scene.masks])


def test_a_clip_is_a_function_of_its_key(source: SceneSource) -> None:
    choices = source._choices
    assert lay_out_clip(choices, RULES, "a", "up", 4) == lay_out_clip(choices, RULES, "a", "up", 4)
    assert lay_out_clip(choices, RULES, "a", "up", 4) != lay_out_clip(choices, RULES, "b", "up", 4)
    other = SceneSource(replace(source.config, seed=1))
    assert source.clip(5) == SceneSource(source.config).clip(5) != other.clip(5)


def test_pixels_move_in_the_direction_that_is_said_and_nothing_else_moves(apart: SceneSource) -> None:
    directions = set()
    for index in range(len(apart)):
        clip = apart.clip(index)
        first, last = (apart.paint(clip.frame(number)) for number in (0, 2))
        ways = centroids(last) - centroids(first)
        along = ways @ np.array(DIRECTIONS[clip.direction])
        across = np.abs(ways).sum(axis=1) - np.abs(along)
        for number, distance in enumerate(clip.distances):
            if distance:
                assert along[number] == pytest.approx(distance, abs=1.0)
                assert across[number] < 1.0
                assert DISTANCE[0] * SIZE <= distance <= DISTANCE[1] * SIZE
            else:
                np.testing.assert_array_equal(first.masks[number], last.masks[number])
        directions.add(clip.direction)
    assert directions == set(DIRECTIONS)


def test_objects_stay_in_the_picture(source: SceneSource) -> None:
    for index in range(len(source)):
        for number in range(3):
            boxes = np.array([placed.box for placed in source.clip(index).frame(number).objects])
            assert boxes.min() > -1e-9
            assert boxes.max() < SIZE + 1e-9


def test_what_is_hidden_is_bounded_at_all_times(source: SceneSource) -> None:
    shares = [
        mask.sum() / placed.area
        for clip in map(source.clip, range(len(source)))
        for layout in map(clip.frame, range(3))
        for mask, placed in zip(source.paint(layout).masks, layout.objects, strict=True)
    ]
    assert min(shares) > 1 - source.config.occlusion - 0.06
    assert min(shares) < 0.95, "nothing is hidden at all"


def test_something_moves_and_something_may_rest(source: SceneSource) -> None:
    clips = [source.clip(index) for index in range(len(source))]
    assert {len(clip.movers().objects) for clip in clips} == set(range(1, MOST_MOVERS + 1))
    assert {0, 1, 2, 3} <= {len(clip.resting().objects) for clip in clips}
    for clip in clips:
        assert len(clip.distances) == len(clip.middle.objects)
        assert set(clip.movers().objects) | set(clip.resting().objects) == set(clip.middle.objects)
    assert [clip.direction for clip in clips[:5]] == [*DIRECTIONS, "to the left"]


def in_every_direction(source: SceneSource, key: str, frames: int) -> dict[str, MovingLayout]:
    return {direction: lay_out_clip(source._choices, RULES, key, direction, frames) for direction in DIRECTIONS}


def test_the_middle_of_a_clip_is_the_same_picture_in_every_direction(source: SceneSource) -> None:
    for key in "abcdef":
        clips = in_every_direction(source, key, 5).values()
        middles = {source.paint_frames(clip, [2]).tobytes() for clip in clips}
        assert len(middles) == 1
        assert len({source.paint_frames(clip, [0]).tobytes() for clip in clips}) == 4


@pytest.mark.parametrize("frames", [2, 7, 8])
def test_backwards_a_clip_is_one_in_the_other_direction(source: SceneSource, frames: int) -> None:
    """So the frames alone, without their order, do not tell left from right."""
    numbers = range(frames)
    for key in "abc":
        clips = in_every_direction(source, key, frames)
        for one, other in (("to the left", "to the right"), ("up", "down")):
            forwards, backwards = (source.paint_frames(clips[way], numbers) for way in (one, other))
            np.testing.assert_array_equal(forwards, backwards[::-1])


def test_frames_are_the_pictures_of_their_layouts(source: SceneSource) -> None:
    clip = source.clip(9)
    frames = source.paint_frames(clip, [2, 0, 0])
    assert frames.shape == (3, SIZE, SIZE, 3)
    assert frames.dtype == np.uint8
    for image, number in zip(frames, (2, 0, 0), strict=True):
        np.testing.assert_array_equal(image, source.paint(clip.frame(number)).image)
    for number in (-1, 3):
        with pytest.raises(IndexError, match=f"frame {number} of 3"):
            clip.frame(number)


def test_splits_share_neither_clips_nor_cutouts(source: SceneSource) -> None:
    parts = [SceneSource(replace(source.config, split=split)) for split in ("train", "val", "test")]
    clips = [part.clip(index) for part in parts for index in range(80)]
    assert len(set(clips)) == len(clips)
    used = [{o.cutout for index in range(80) for o in part.clip(index).middle.objects} for part in parts]
    assert len(set.union(*used)) == sum(map(len, used))
