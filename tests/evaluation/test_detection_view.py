from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver.data.records import AnnotatedImage
from uniperceiver.evaluation.detection_view import DetectionView, matched
from uniperceiver.predictions import Detection

NAMES = ("cat", "dog")


def detection(boxes: list[list[float]], scores: list[float], labels: list[int], size=(200, 400)) -> Detection:
    masks = np.zeros((len(boxes), *size), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return Detection(
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        scores=np.array(scores, dtype=np.float64),
        labels=np.array(labels, dtype=np.int64),
        names=tuple(NAMES[label] for label in labels),
        masks=masks,
        mask_scores=np.ones(len(boxes)),
    )


def record(boxes: list[list[float]], labels: list[int], crowd: list[bool] | None = None) -> AnnotatedImage:
    """A picture of 100 × 200 pixels, stored twice as large."""
    return AnnotatedImage(
        image=torch.full((3, 100, 200), 255, dtype=torch.uint8),
        image_id="7",
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks=torch.ones(len(boxes), 100, 200, dtype=torch.bool),
        labels=torch.tensor(labels, dtype=torch.int64),
        has_mask=torch.ones(len(boxes), dtype=torch.bool),
        is_crowd=torch.tensor(crowd or [False] * len(labels), dtype=torch.bool),
        original_size=(200, 400),
    )


def facts(view: DetectionView) -> dict[str, str]:
    return dict(view.example().facts)


def test_annotations_and_predictions_meet_in_the_pixels_of_the_stored_picture() -> None:
    prediction = detection([[20, 20, 120, 120], [200, 20, 300, 120], [0, 0, 9, 9]], [0.9, 0.8, 0.2], [0, 0, 1])
    view = DetectionView(record([[10, 10, 60, 60], [100, 10, 150, 60]], [0, 1]), prediction, NAMES)
    assert facts(view)["found"] == "1 of 2 annotated objects"  # the second is no cat
    assert facts(view)["drawn"] == "2 objects with a score of 30 % or more, 1 of them false"
    assert view.is_right is None
    example = view.example()
    assert [panel.alt for panel in example.panels] == ["Annotated: cat, dog.", "Predicted: cat × 2."]
    drawn = [np.asarray(Image.open(io.BytesIO(panel.jpeg))).astype(int) for panel in example.panels]
    assert drawn[0].shape == (100, 200, 3)
    assert (drawn[0].min(axis=-1) < 200).mean() > 0.9  # masks everywhere
    assert abs(drawn[1][80:, 160:] - 255).max() < 20  # nothing was predicted in this corner
    assert drawn[1][40, 40].min() < 200


def test_of_low_scores_the_best_alone_is_drawn() -> None:
    view = DetectionView(record([[10, 10, 60, 60]], [0]), detection([[0, 0, 9, 9]] * 2, [0.1, 0.2], [0, 1]), NAMES)
    assert facts(view)["drawn"].startswith("no score reaches 30 %")
    assert view.example().panels[1].alt == "Predicted: dog."


@pytest.mark.parametrize("has_objects", [True, False])
def test_nothing_annotated_or_predicted(has_objects: bool) -> None:
    given = record([[10, 10, 60, 60]], [0]) if has_objects else record([], [])
    example = DetectionView(given, detection([], [], []), NAMES).example()
    assert dict(example.facts)["found"] == f"0 of {int(has_objects)} annotated objects"
    assert example.panels[1].alt == "Predicted: nothing."


def test_crowds_are_not_shown_but_named() -> None:
    view = DetectionView(record([[10, 10, 60, 60]] * 2, [0, 0], [False, True]), detection([], [], []), NAMES)
    assert facts(view)["crowds"] == "1 annotated regions not shown"
    assert facts(view)["found"] == "0 of 1 annotated objects"


def test_every_object_is_found_once() -> None:
    found = detection([[0, 0, 10, 10]] * 3, [0.9, 0.8, 0.7], [0, 0, 0])
    boxes = np.array([[0, 0, 10, 10.0], [0, 0, 10, 9], [0, 0, 4, 10]])
    assert matched(found, boxes, np.array([0, 0, 0])) == 2
    assert matched(found, boxes, np.array([1, 1, 1])) == 0


def test_a_small_picture_whose_masks_are_of_another_size() -> None:
    prediction = detection([[0, 0, 400, 200]], [0.5], [1])
    view = DetectionView(record([], []), prediction, ("\ud800 cat", "dog\n" * 40))
    assert view.example().panels[1].size == (200, 100)


def test_boxes_alone_are_shown_as_boxes_on_both_sides() -> None:
    boxes_alone = replace(record([[10, 10, 50, 50]], [0]), has_mask=torch.tensor([False]))
    with_masks = replace(boxes_alone, has_mask=torch.tensor([True]))
    found = detection([[20, 20, 100, 100]], [0.9], [0])
    alone, both = (DetectionView(given, found, NAMES).example().panels for given in (boxes_alone, with_masks))
    assert all(ours != theirs for ours, theirs in zip(alone, both, strict=True))
    bare = DetectionView(boxes_alone, replace(found, masks=None, mask_scores=None), NAMES)
    assert bare.example().panels == alone
