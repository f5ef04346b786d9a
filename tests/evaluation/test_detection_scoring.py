from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uniperceiver.config import ScenesConfig
from uniperceiver.data.datasets.scenes import SceneObjects
from uniperceiver.data.records import AnnotatedImage, ObjectReference
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


class BoxesAlone(SceneObjects):
    """Scenes of which some are annotated with boxes alone."""

    without_masks = frozenset(range(4))

    def reference(self, record: AnnotatedImage) -> ObjectReference:
        reference = super().reference(record)
        is_alone = int(record.image_id.rpartition("-")[2]) in self.without_masks
        return replace(reference, masks=[None] * len(reference.masks)) if is_alone else reference


class SomeBoxesAlone(BoxesAlone):
    without_masks = frozenset({1})


@pytest.mark.parametrize(("kind", "is_measured"), [(BoxesAlone, False), (SomeBoxesAlone, True)])
def test_mask_ap_is_of_images_with_masks(kind: type[BoxesAlone], is_measured: bool) -> None:
    scenes = kind(ScenesConfig(view="objects", split="val", images=4, size=64))
    scorer = DetectionScorer(scenes)
    for record in (scenes[index] for index in range(4)):
        boxes, ones = record.boxes.double().numpy(), np.ones(len(record.labels))
        names = tuple(scenes.names[label] for label in record.labels)
        scorer.add([record], None, [Detection(boxes, ones, record.labels.numpy(), names, record.masks.numpy(), ones)])
    result = scorer.result()
    assert result.metrics["box_ap50"] == pytest.approx(1)
    assert any("mask" in name for name in result.metrics) == is_measured
    assert result.metrics.keys() == result.baselines.keys()
    assert ("Masks of the 3 images" in result.protocol) == is_measured
    if is_measured:
        assert result.metrics["mask_ap50"] == pytest.approx(1)
    else:
        assert "Masks" not in result.protocol
