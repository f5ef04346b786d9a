from __future__ import annotations

import math

import numpy as np
import pytest

from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.compressed_detection import CompressedDetection
from uniperceiver.evaluation.naming import naming, naming_baseline, pairwise_iou


def reference(
    image_id: str, boxes: list[list[float]], labels: list[int], crowd: tuple[int, ...] = ()
) -> ObjectReference:
    is_crowd = np.isin(np.arange(len(labels)), crowd)
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return ObjectReference(
        image_id,
        (100, 100),
        array,
        [{}] * len(labels),
        np.array(labels, dtype=np.int64),
        is_crowd,
        np.ones(len(labels)),
    )


def detection(boxes: list[list[float]], labels: list[int], scores: list[float]) -> CompressedDetection:
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return CompressedDetection(array, np.array(scores), np.array(labels, dtype=np.int64), None, None)


def test_the_best_scored_overlapping_box_names_an_object() -> None:
    left, right, far = [0, 0, 20, 20], [50, 50, 70, 70], [80, 0, 99, 10]
    references = [reference("a", [left, right, far], [1, 2, 3]), reference("b", [], [])]
    found = {
        "a": detection([left, [0, 0, 20, 18], right, [0, 0, 5, 5]], [7, 1, 2, 1], [0.3, 0.6, 0.1, 0.9]),
        "b": detection([left], [1], [1.0]),
    }
    assert naming(found, references) == pytest.approx({"located": 2 / 3, "named": 1})
    assert naming_baseline(found, references)["named"] == pytest.approx(1 / 3)


def test_crowds_are_not_counted_and_nothing_found_has_no_names() -> None:
    references = [reference("a", [[0, 0, 9, 9], [0, 0, 9, 9]], [0, 1], crowd=(1,))]
    scores = naming({"a": detection([], [], [])}, references)
    assert scores["located"] == 0
    assert math.isnan(scores["named"])
    assert math.isnan(naming({"a": detection([], [], [])}, [reference("a", [], [])])["located"])


def test_iou_of_boxes_by_hand() -> None:
    a = np.array([[0.0, 0, 2, 2], [0, 0, 0, 0]])
    b = np.array([[1.0, 0, 3, 2], [0, 0, 0, 0]])
    np.testing.assert_allclose(pairwise_iou(a, b), [[1 / 3, 0], [0, 0]])
