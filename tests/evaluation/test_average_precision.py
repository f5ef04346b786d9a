from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from pycocotools import mask as codec

from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.average_precision import Region, average_precision
from uniperceiver.evaluation.compressed_detection import CompressedDetection, compress
from uniperceiver.predictions import Detection

SIZE = (120, 160)


def masks_of(boxes: np.ndarray) -> np.ndarray:
    masks = np.zeros((len(boxes), *SIZE), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.round().astype(int), strict=True):
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return masks


def reference(image_id: str, boxes: list[list[float]], labels: list[int], crowd: list[bool] | None = None):
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    masks = masks_of(array)
    return ObjectReference(
        image_id=image_id,
        size=SIZE,
        boxes=array,
        masks=[codec.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks],
        labels=np.array(labels, dtype=np.int64),
        is_crowd=np.array(crowd or [False] * len(boxes)),
        areas=masks.sum(axis=(1, 2)).astype(np.float64),
    )


def detection(boxes: list[list[float]], labels: list[int], scores: list[float], quality: list[float] | None = None):
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return compress(
        Detection(
            boxes=array,
            scores=np.array(scores, dtype=np.float64),
            labels=np.array(labels, dtype=np.int64),
            names=tuple(str(label) for label in labels),
            masks=masks_of(array),
            mask_scores=np.array(quality or [1.0] * len(scores), dtype=np.float64),
        )
    )


def random_case(seed: int) -> tuple[dict[str, CompressedDetection], list[ObjectReference]]:
    """Images with ties, crowds, duplicates, several sizes; some without objects, some without detections."""
    random = np.random.default_rng(seed)
    detections, references = {}, []
    for number in range(12):
        n = 0 if number % 5 == 0 else int(random.integers(1, 8))
        corner = random.uniform(0, 90, (n, 2))
        boxes = np.concatenate([corner, corner + random.uniform(4, 70, (n, 2))], axis=1)
        labels = random.integers(0, 3, n)
        references.append(
            reference(str(number), boxes.tolist(), labels.tolist(), (random.random(n) < 0.2).tolist() or None)
        )
        m = 0 if number % 4 == 1 else n + int(random.integers(0, 120))
        which = random.integers(0, max(n, 1), m)
        base = boxes[which] if n else np.tile([10.0, 10, 40, 40], (m, 1))
        found = base + random.normal(0, 4, (m, 4)) * random.integers(0, 2, (m, 1))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        given = labels[which] if n else np.zeros(m, dtype=int)
        given = np.where(random.random(m) < 0.2, random.integers(0, 4, m), given)
        scores = random.integers(0, 10, m) / 10
        detections[str(number)] = detection(
            found.tolist(), given.tolist(), scores.tolist(), (random.integers(1, 5, m) / 4).tolist()
        )
    return detections, references


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("region", ["box", "mask"])
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_both_backends_give_the_same_numbers(seed: int, region: Region, class_agnostic: bool) -> None:
    detections, references = random_case(seed)
    ours, official = (
        average_precision(detections, references, region, class_agnostic=class_agnostic, backend=backend)
        for backend in ("hotcoco", "pycocotools")
    )
    np.testing.assert_allclose(astuple(ours)[:-2], astuple(official)[:-2], rtol=0, atol=0)
    assert ours.ap50_of_class.keys() == official.ap50_of_class.keys()
    assert ours.ap50_of_class == official.ap50_of_class
    assert ours.ap_of_class == official.ap_of_class
    assert 0.05 < ours.ap50 < 1


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
class TestByHand:
    def test_perfect_detections(self, backend) -> None:
        boxes = [[10.0, 10, 30, 30], [50, 50, 110, 100]]
        scores = average_precision(
            {"a": detection(boxes, [0, 1], [0.9, 0.2])}, [reference("a", boxes, [0, 1])], "box", backend=backend
        )
        assert [scores.ap, scores.ap50, scores.ap75, scores.ar100] == pytest.approx([1] * 4)
        assert [scores.ap_small, scores.ap_medium] == pytest.approx([1, 1])
        assert np.isnan(scores.ap_large)
        assert scores.ap50_of_class == pytest.approx({0: 1, 1: 1})

    def test_a_better_scored_false_positive_halves_the_precision(self, backend) -> None:
        truth = [reference("a", [[10.0, 10, 50, 50]], [0])]
        found = {"a": detection([[100.0, 60, 140, 100], [10, 10, 50, 50]], [0, 0], [0.9, 0.8])}
        assert average_precision(found, truth, "box", backend=backend).ap50 == pytest.approx(0.5)

    def test_masks_rank_by_score_times_quality(self, backend) -> None:
        truth = [reference("a", [[10.0, 10, 50, 50]], [0])]
        boxes = [[100.0, 60, 140, 100], [10, 10, 50, 50]]
        found = {"a": detection(boxes, [0, 0], [0.9, 0.8], quality=[0.1, 1.0])}
        assert average_precision(found, truth, "mask", backend=backend).ap50 == pytest.approx(1)
        assert average_precision(found, truth, "box", backend=backend).ap50 == pytest.approx(0.5)

    def test_detections_in_a_crowd_count_neither_way(self, backend) -> None:
        boxes = [[10.0, 10, 50, 50], [60, 10, 150, 100]]
        truth = [reference("a", boxes, [0, 0], [False, True])]
        found = {"a": detection([[70.0, 20, 90, 40], [10, 10, 50, 50]], [0, 0], [0.9, 0.8])}
        assert average_precision(found, truth, "box", backend=backend).ap == pytest.approx(1)

    def test_annotated_area_decides_the_size(self, backend) -> None:
        one = reference("a", [[10.0, 10, 50, 50]], [0])
        tiny = ObjectReference("a", SIZE, one.boxes, one.masks, one.labels, one.is_crowd, np.array([100.0]))
        found = {"a": detection([[10.0, 10, 50, 50]], [0], [0.9])}
        scores = average_precision(found, [tiny], "box", backend=backend)
        assert scores.ap_small == pytest.approx(1)
        assert np.isnan(scores.ap_medium)

    def test_class_agnostic_ignores_labels_and_counts_a_region_once(self, backend) -> None:
        truth = [reference("a", [[10.0, 10, 50, 50]], [2])]
        found = {"a": detection([[10.0, 10, 50, 50], [10, 10, 50, 50]], [0, 1], [0.9, 0.8])}
        assert average_precision(found, truth, "box", backend=backend).ap == 0
        assert average_precision(found, truth, "box", class_agnostic=True, backend=backend).ap == pytest.approx(1)

    def test_class_agnostic_ranks_by_objectness(self, backend) -> None:
        """A sure region with an unsure name comes before an unsure region with a sure name."""
        truth = [reference("a", [[10.0, 10, 50, 50]], [2])]
        found = detection([[60.0, 60, 90, 90], [10, 10, 50, 50], [10, 10, 50, 50]], [0, 0, 1], [0.5, 0.3, 0.2])
        by_name = average_precision({"a": found}, truth, "box", class_agnostic=True, backend=backend)
        assert by_name.ap50 == pytest.approx(0.5)
        sure = replace(found, objectness=np.array([0.5, 0.9, 0.9]))
        scores = average_precision({"a": sure}, truth, "box", class_agnostic=True, backend=backend)
        assert scores.ap50 == pytest.approx(1)

    def test_images_without_detections_cost_recall(self, backend) -> None:
        boxes = [[10.0, 10, 50, 50]]
        truth = [reference("a", boxes, [0]), reference("b", boxes, [0]), reference("c", [], [])]
        found = {"a": detection(boxes, [0], [0.9]), "b": detection([], [], []), "c": detection([], [], [])}
        scores = average_precision(found, truth, "mask", backend=backend)
        assert scores.ar100 == 0.5
        assert scores.ap50 == pytest.approx(51 / 101)  # recall thresholds 0, 0.01, …, 0.5

    def test_no_object_anywhere_is_undefined(self, backend) -> None:
        found = {"a": detection([[10.0, 10, 50, 50]], [0], [0.9])}
        scores = average_precision(found, [reference("a", [], [])], "box", backend=backend)
        assert np.isnan(scores.ap)
        assert scores.ap50_of_class == {}
        nothing = average_precision({"a": detection([], [], [])}, [reference("a", [], [])], "box", backend=backend)
        assert np.isnan(nothing.ap)


def test_order_of_images_does_not_matter() -> None:
    detections, references = random_case(0)
    forward = average_precision(detections, references, "box")  # with many equal scores
    np.testing.assert_equal(astuple(forward), astuple(average_precision(detections, references[::-1], "box")))


def test_only_the_best_hundred_of_an_image_count() -> None:
    wrong = [[100.0, 60, 140, 100]] * 100
    found = detection([*wrong, [10.0, 10, 50, 50]], [0] * 101, [0.9] * 100 + [0.1])
    assert len(found.scores) == 100
    assert average_precision({"a": found}, [reference("a", [[10.0, 10, 50, 50]], [0])], "box").ap == 0


def test_missing_and_surplus_images_are_errors() -> None:
    one, truth = detection([[10.0, 10, 50, 50]], [0], [0.9]), reference("a", [[10.0, 10, 50, 50]], [0])
    with pytest.raises(ValueError, match=r"1 images lack detections \['a'\], 1 have no references \['b'\]"):
        average_precision({"b": one}, [truth], "box")
    with pytest.raises(ValueError, match="repeat"):
        average_precision({"a": one}, [truth, truth], "box")
    with pytest.raises(ValueError, match="at least one annotated image"):
        average_precision({}, [], "box")


def test_mask_precision_needs_masks() -> None:
    bare = compress(
        Detection(np.array([[10.0, 10, 50, 50]]), np.array([0.9]), np.array([0]), ("0",), masks=None, mask_scores=None)
    )
    with pytest.raises(ValueError, match="region='box'"):
        average_precision({"a": bare}, [reference("a", [[10.0, 10, 50, 50]], [0])], "mask")


def test_masks_of_objects_that_have_none_cannot_be_compared() -> None:
    boxes_alone = replace(reference("a", [[1, 1, 9, 9]], [0]), masks=[None])
    found = {"a": detection([[1, 1, 9, 9]], [0], [0.5])}
    assert average_precision(found, [boxes_alone], "box").ap50 == pytest.approx(1)
    with pytest.raises(ValueError, match=r"image a has objects without a mask; use region='box'"):
        average_precision(found, [boxes_alone], "mask")
