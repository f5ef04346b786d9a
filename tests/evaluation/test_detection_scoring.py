from __future__ import annotations

import numpy as np
import pytest

from uniperceiver.config import ScenesConfig
from uniperceiver.data.datasets.scenes import SceneObjects
from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.average_precision import average_precision
from uniperceiver.evaluation.detection_scoring import DetectionScorer, mean_boxes
from uniperceiver.predictions import Detection


def test_perfect_boxes_under_wrong_names_are_found_but_not_named() -> None:
    scenes = SceneObjects(ScenesConfig(view="objects", split="val", images=6, size=64))
    scorer = DetectionScorer(scenes)
    for index in range(len(scenes)):
        record = scenes[index]
        reference = scenes.reference(record)
        labels = (reference.labels + 1) % len(scenes.names)
        ones = np.ones(len(labels))
        names = tuple(scenes.names[label] for label in labels)
        masks = record.masks.numpy()
        scorer.add([record], None, [Detection(reference.boxes, ones, labels, names, masks, ones)])
    result = scorer.result()
    assert result.metrics["agnostic_box_ap50"] == pytest.approx(1)
    assert result.metrics["agnostic_mask_ap50"] == pytest.approx(1)
    assert result.metrics["box_ap50"] < 0.1
    assert (result.metrics["located"], result.metrics["named"]) == (1, pytest.approx(0, abs=0.2))
    assert result.baselines.keys() == result.metrics.keys()
    assert result.baselines["agnostic_box_ap50"] < 0.5
    assert result.baselines["named"] < 0.5


def test_mean_boxes_are_those_of_the_training_data_scaled_to_the_picture() -> None:
    def reference(image_id, size, boxes, labels):
        array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        none_is_crowd, areas = np.zeros(len(labels), dtype=bool), np.full(len(labels), 2000.0)
        return ObjectReference(image_id, size, array, [{}] * len(labels), np.array(labels), none_is_crowd, areas)

    objects = [
        (np.array([[0, 0, 0.5, 0.5], [0.1, 0.1, 0.2, 0.2]]), np.array([1, 0])),
        (np.array([[0, 0, 0.5, 0.5]]), np.array([1])),
        (np.zeros((0, 4)), np.zeros(0, dtype=np.int64)),
    ]
    references = [reference("a", (100, 200), [[0, 0, 100, 50]], [1]), reference("c", (10, 10), [], [])]
    found = mean_boxes(objects, references)
    np.testing.assert_allclose(found["a"].boxes[0], [0, 0, 100, 50])
    np.testing.assert_allclose(found["c"].boxes[0], [0, 0, 5, 5])
    assert found["a"].labels.tolist() == [1, 0]
    np.testing.assert_allclose(found["a"].scores, [2 / 3, 1 / 3])
    assert average_precision(found, references, "box").ap50_of_class[1] == pytest.approx(1)
    assert mean_boxes(objects[2:], references)["c"].boxes.shape == (0, 4)
