from __future__ import annotations

import numpy as np
from pycocotools import mask as codec

from uniperceiver.evaluation.compressed_detection import (
    DETECTIONS_PER_IMAGE,
    CompressedDetection,
    boxes_as_masks,
    compress,
    distinct_regions,
)
from uniperceiver.predictions import Detection


def test_the_best_are_kept_best_first_with_all_that_belongs_to_them() -> None:
    random = np.random.default_rng(0)
    number, size = DETECTIONS_PER_IMAGE + 20, (6, 8)
    scores, masks = random.permutation(number) / number, random.random((number, *size)) < 0.5
    boxes, labels = random.random((number, 4)), random.integers(0, 3, number)
    given = Detection(boxes, scores, labels, tuple(map(str, labels)), masks, scores / 2, objectness=scores + 1)
    kept = compress(given)
    order = np.argsort(-scores)[:DETECTIONS_PER_IMAGE]
    np.testing.assert_array_equal(kept.scores, scores[order])
    np.testing.assert_array_equal(kept.boxes, boxes[order])
    np.testing.assert_array_equal(kept.labels, labels[order])
    np.testing.assert_array_equal(kept.mask_scores, scores[order] / 2)
    np.testing.assert_array_equal(kept.objectness, scores[order] + 1)
    assert kept.masks is not None
    np.testing.assert_array_equal(np.stack([codec.decode(mask) for mask in kept.masks]).astype(bool), masks[order])


def test_a_region_under_several_names_counts_once() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [1.0, 1, 5, 5], [0.0, 0, 4, 4]])
    found = CompressedDetection(boxes, np.array([0.2, 0.5, 0.4]), np.array([0, 1, 2]), None, None)
    regions = distinct_regions(found)
    np.testing.assert_array_equal(regions.boxes, boxes[[1, 2]])
    np.testing.assert_array_equal(regions.scores, [0.5, 0.4])
    known = CompressedDetection(*(boxes, found.scores, found.labels, None, None), objectness=np.array([0.7, 0.6, 0.7]))
    np.testing.assert_array_equal(distinct_regions(known).scores, [0.6, 0.7])


def test_a_filled_box_covers_its_pixels() -> None:
    (filled,) = boxes_as_masks(np.array([[2.0, 1.0, 5.0, 4.0]]), (6, 8))
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(codec.decode(filled).astype(bool), expected)
    assert boxes_as_masks(np.zeros((0, 4)), (6, 8)) == []
