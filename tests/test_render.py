from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from uniperceiver.predictions import Detection
from uniperceiver.render import class_colour, draw_detection, text_colour


def detection(
    boxes: list[list[float]], masks: np.ndarray | None = None, scores: list[float] | None = None
) -> Detection:
    n = len(boxes)
    return Detection(
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        scores=np.array(scores or [0.5] * n),
        labels=np.arange(n),
        names=tuple(f"thing {i}" for i in range(n)),
        masks=masks,
        mask_scores=None if masks is None else np.ones(n),
    )


def grey(width: int = 200, height: int = 100) -> Image.Image:
    return Image.new("RGB", (width, height), (100, 100, 100))


def test_nothing_drawn_leaves_the_picture_alone() -> None:
    picture = grey()
    drawn = draw_detection(picture, detection([]))
    assert np.array_equal(np.asarray(drawn), np.asarray(picture))
    assert drawn is not picture


def test_masks_are_translucent_and_stay_inside() -> None:
    masks = np.zeros((1, 100, 200), dtype=bool)
    masks[0, 60:80, 100:150] = True
    drawn = np.asarray(draw_detection(grey(), detection([[100, 60, 150, 80]], masks)))
    expected = 100 + 0.45 * (np.array(class_colour(0)) - 100)
    np.testing.assert_allclose(drawn[70, 125], expected, atol=1)
    assert drawn[90, 190].tolist() == [100, 100, 100]


def test_boxes_have_the_colour_of_the_class_and_a_written_name() -> None:
    drawn = np.asarray(draw_detection(grey(), detection([[50, 40, 150, 90]])))
    assert drawn[90, 100].tolist() == list(class_colour(0))
    label = drawn[24:39, 50:100].reshape(-1, 3)
    assert (label == class_colour(0)).all(axis=1).any()
    assert (np.abs(label.astype(int) - text_colour(class_colour(0))) < 60).all(axis=1).any()  # smoothed edges


def test_better_objects_lie_above_worse_ones() -> None:
    boxes = [[20.0, 40, 180, 90], [20.0, 40, 180, 90]]
    for scores in ([0.9, 0.1], [0.1, 0.9]):
        drawn = np.asarray(draw_detection(grey(), detection(boxes, scores=scores)))
        assert drawn[90, 100].tolist() == list(class_colour(int(np.argmax(scores))))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (300, 2)])
def test_any_size_and_any_box(size: tuple[int, int]) -> None:
    boxes = [[-50.0, -50, 500, 500], [0, 0, 0, 0], [5, 5, 1, 1]]
    assert draw_detection(Image.new("L", size), detection(boxes)).size == size


def test_masks_of_another_picture_are_an_error() -> None:
    with pytest.raises(ValueError, match="the picture the detection was made from"):
        draw_detection(grey(), detection([[0, 0, 5, 5]], np.zeros((1, 50, 50), dtype=bool)))


def test_text_is_readable_on_every_class_colour() -> None:
    for label in range(200):
        colour = np.array(class_colour(label))
        contrast = abs(float((np.array(text_colour(tuple(colour))) - colour) @ [0.299, 0.587, 0.114]))
        assert contrast > 110
    assert len({class_colour(label) for label in range(80)}) == 80


def test_annotated_objects_have_no_scores_to_show() -> None:
    boxes = detection([[100, 60, 150, 80]])
    with_scores, without = (np.asarray(draw_detection(grey(), boxes, show_scores=show)) for show in (True, False))
    assert (without != np.asarray(grey().convert("RGB"))).any()
    assert (with_scores != without).any()


def test_a_name_that_is_no_unicode_is_drawn() -> None:
    name = replace(detection([[100, 60, 150, 80]]), names=("cat \ud800",))
    assert draw_detection(grey(), name).size == grey().size
