from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uniperceiver.data.scenes.colours import BACKGROUND_COLOURS, COLOURS, OBJECT_COLOURS
from uniperceiver.data.scenes.composition import paint
from uniperceiver.data.scenes.layout import Layout
from uniperceiver.data.scenes.scene_source import SceneSource


def nearest_colour(pixels: np.ndarray, names: tuple[str, ...]) -> str:
    """The named colour closest to the mean of pixels (n, 3)."""
    distances = [np.abs(pixels.mean(axis=0) - COLOURS[name]).sum() for name in names]
    return names[int(np.argmin(distances))]


def nearest_hue(pixels: np.ndarray) -> str:
    """The same whatever the brightness: outlines and tone darken objects."""
    mean = pixels.mean(axis=0) / np.linalg.norm(pixels.mean(axis=0))
    names = (*OBJECT_COLOURS, "gray")
    return max(names, key=lambda name: mean @ np.array(COLOURS[name]) / np.linalg.norm(COLOURS[name]))


def test_painting_repeats(source: SceneSource) -> None:
    first, second = source.paint(source.layout(3)), source.paint(source.layout(3))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.masks, second.masks)


def test_masks_exclude_each_other_and_boxes_surround_them(source: SceneSource) -> None:
    for index in range(60):
        scene = source.paint(source.layout(index))
        assert scene.masks.sum(axis=0).max() <= 1
        for mask, box in zip(scene.masks, scene.boxes().astype(int), strict=True):
            x0, y0, x1, y1 = box
            assert mask.sum() == mask[y0:y1, x0:x1].sum() > 0
            assert all(edge.any() for edge in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]))


def test_what_is_hidden_is_bounded(source: SceneSource) -> None:
    shares = [
        mask.sum() / placed.area
        for layout in map(source.layout, range(len(source)))
        for mask, placed in zip(source.paint(layout).masks, layout.objects, strict=True)
    ]
    assert min(shares) > 1 - source.config.occlusion - 0.06
    assert np.mean(np.array(shares) < 0.95) > 0.03, "nothing is hidden at all"


def test_a_whole_object_fills_the_box_it_was_laid_out_in(source: SceneSource) -> None:
    for index in range(60):
        layout = source.layout(index)
        top = layout.objects[-1]
        np.testing.assert_allclose(source.paint(layout).boxes()[-1], top.box, atol=1.6)


def test_relations_hold_between_what_is_visible(source: SceneSource) -> None:
    for layout in map(source.layout, range(60)):
        boxes = source.paint(layout).boxes()
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        for i, a in enumerate(layout.objects):
            for j, b in enumerate(layout.objects):
                assert not layout.is_left(a, b) or x[i] < x[j]
                assert not layout.is_above(a, b) or y[i] < y[j]


@pytest.mark.parametrize("colour", BACKGROUND_COLOURS)
def test_backgrounds_have_the_colour_that_is_said(colour: str, source: SceneSource) -> None:
    for seed in range(12):
        image = paint(Layout((), colour, 96, seed), source.cutouts).image
        assert nearest_colour(image.reshape(-1, 3), BACKGROUND_COLOURS) == colour


def test_objects_have_the_colour_that_is_said(source: SceneSource) -> None:
    for layout in map(source.layout, range(60)):
        scene = source.paint(layout)
        for mask, placed in zip(scene.masks, layout.objects, strict=True):
            assert nearest_hue(scene.image[mask]) == placed.colour


def test_tints_are_the_colour_that_is_said(source: SceneSource) -> None:
    layout = source.layout(0)
    for colour in ("red", "blue", "green", "pink"):
        tinted = tuple(replace(placed, colour=colour, is_tinted=True) for placed in layout.objects)
        scene = source.paint(replace(layout, objects=tinted))
        assert {nearest_hue(scene.image[mask]) for mask in scene.masks} == {colour}


def test_mirroring_and_turning_move_what_is_painted(source: SceneSource) -> None:
    """A crescent opens to one side; mirrored, its mask is mirrored about the object's centre."""
    layout = next(
        candidate for candidate in map(source.single, range(len(source))) if candidate.objects[0].name == "crescent"
    )
    straight = replace(layout.objects[0], angle=0.0, is_mirrored=False, centre=(64.0, 64.0), box=(0, 0, 128, 128))
    masks = [
        source.paint(replace(layout, objects=(placed,))).masks[0]
        for placed in (straight, replace(straight, is_mirrored=True))
    ]
    assert (masks[0] != masks[1]).mean() > 0.02
    assert (masks[0][:, ::-1] != masks[1]).mean() < 0.01
