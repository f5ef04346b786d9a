"""Predictions as plain data."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask

from uniperceiver.predictions import Detection, run_lengths


def test_run_lengths_are_coco_s() -> None:
    random = np.random.default_rng(0)
    for shape in ((1, 1), (5, 7), (8, 3)):
        mask = random.random(shape) < 0.5
        encoded = coco_mask.frPyObjects({"size": list(shape), "counts": run_lengths(mask)}, *shape)
        np.testing.assert_array_equal(coco_mask.decode(encoded).astype(bool), mask)


def test_objects_below_a_score_are_left_out() -> None:
    detection = Detection(
        boxes=np.arange(8.0).reshape(2, 4),
        scores=np.array([0.9, 0.2]),
        labels=np.array([1, 0]),
        names=("dog", "cat"),
        masks=np.ones((2, 2, 3), dtype=bool),
        mask_scores=np.array([1.0, 0.5]),
    )
    kept = detection.at_least(0.5)
    assert [(name, score) for _, name, score in kept.objects()] == [("dog", 0.9)]
    entry = kept.to_json()["objects"][0]
    assert entry["box"] == [0, 1, 2, 3]
    assert entry["segmentation"] == {"size": [2, 3], "counts": [0, 6]}
