from __future__ import annotations

from dataclasses import replace

import numpy as np

from uniperceiver.data.scenes.colours import BACKGROUND_COLOURS
from uniperceiver.data.scenes.layout import MOST_REPEATED, SceneRules, lay_out
from uniperceiver.data.scenes.scene_source import SceneSource

RULES = SceneRules(size=128, objects=(1, 6), scale=(0.16, 0.5), occlusion=0.3, tinted=0.5)


def test_a_layout_is_a_function_of_its_key(source: SceneSource) -> None:
    choices = source._choices
    assert lay_out(choices, RULES, "a") == lay_out(choices, RULES, "a")
    assert lay_out(choices, RULES, "a") != lay_out(choices, RULES, "b")


def test_objects_lie_in_the_picture_within_their_scale(source: SceneSource) -> None:
    for index in range(len(source)):
        layout = source.layout(index)
        assert 1 <= len(layout.objects) <= 6
        for placed in layout.objects:
            x0, y0, x1, y1 = placed.box
            assert 0 <= x0 < x1 <= 128
            assert 0 <= y0 < y1 <= 128
            side = placed.scale * source.cutouts[placed.cutout].outline.side
            assert 0.159 * 128 <= side <= 0.501 * 128


def test_numbers_classes_and_backgrounds_vary(source: SceneSource) -> None:
    layouts = [source.layout(index) for index in range(len(source))]
    assert {len(layout.objects) for layout in layouts} == {1, 2, 3, 4, 5, 6}
    assert {layout.background for layout in layouts} == set(BACKGROUND_COLOURS)
    most = [max(layout.counts().values()) for layout in layouts]
    assert set(most) == set(range(1, MOST_REPEATED + 1))
    # At most one class of a scene is repeated.
    assert all(sorted(layout.counts().values())[-2:-1] in ([], [1]) for layout in layouts)


def test_a_shape_never_has_the_colour_of_its_background(source: SceneSource) -> None:
    layouts = [source.layout(index) for index in range(len(source))]
    assert all(placed.colour != layout.background for layout in layouts for placed in layout.objects)
    assert not any(placed.is_tinted for layout in layouts for placed in layout.objects)


def test_only_natural_colours_are_tinted_and_names_of_colours_never(source: SceneSource) -> None:
    rules = replace(RULES, tinted=1.0)
    natural = [[replace(choice, colour=None) for choice in row] for row in source._choices]
    assert all(placed.is_tinted and placed.colour for placed in lay_out(natural, rules, "a").objects)
    named = [[replace(choice, name="red box") for choice in row] for row in natural]
    assert all(placed.colour is None for placed in lay_out(named, rules, "a").objects)


def test_one_class_is_asked_for(source: SceneSource) -> None:
    for label in range(len(source.names)):
        (placed,) = lay_out(source._choices, RULES, "a", label=label).objects
        assert (placed.label, placed.name) == (label, source.names[label])


def test_without_occlusion_boxes_do_not_meet(source: SceneSource) -> None:
    rules = replace(RULES, occlusion=0.0, objects=(6, 6))
    for key in range(30):
        boxes = np.array([placed.box for placed in lay_out(source._choices, rules, str(key)).objects])
        low, high = (
            np.maximum(boxes[:, None, :2], boxes[None, :, :2]),
            np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]),
        )
        meets = (high - low > 0).all(axis=2)
        assert meets.sum() == len(boxes)


def test_more_objects_than_classes(source: SceneSource) -> None:
    layout = lay_out(source._choices[:2], replace(RULES, objects=(6, 6), scale=(0.16, 0.2)), "a")
    assert len(layout.objects) == 6
    assert len(layout.counts()) <= 2
