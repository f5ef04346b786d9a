"""Predictions as plain data."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from uniperceiver.predictions import Answer, Caption, Classification, Detection, FilledMask, Match


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


def two_objects() -> Detection:
    masks = np.zeros((2, 30, 40), dtype=bool)
    masks[0, 5:20, 10:30] = True
    masks[1, :3, :3] = True
    return Detection(
        boxes=np.array([[10.0, 5, 30, 20], [0, 0, 3, 3]]),
        scores=np.array([0.9, 0.2]),
        labels=np.array([1, 0]),
        names=("dog", "cat"),
        masks=masks,
        mask_scores=np.ones(2),
    )


def test_coco_entries_are_what_pycocotools_reads() -> None:
    detection = two_objects()
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 7, "height": 30, "width": 40}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [],
    }
    truth.createIndex()
    read = truth.loadRes(detection.to_coco(7))
    first, second = read.loadAnns(read.getAnnIds())
    assert (first["category_id"], second["category_id"]) == (2, 1)
    assert first["bbox"] == [10, 5, 20, 15]
    assert first["area"] == 300
    np.testing.assert_array_equal(coco_mask.decode(first["segmentation"]).astype(bool), detection.masks[0])
    assert [e["category_id"] for e in detection.to_coco(7, category_ids=[50, 60])] == [60, 50]


def test_supervision_gets_boxes_masks_and_names() -> None:
    pytest.importorskip("supervision")
    detections = two_objects().to_supervision()
    assert len(detections) == 2
    assert detections.mask.shape == (2, 30, 40)
    assert detections.data["class_name"].tolist() == ["dog", "cat"]


@pytest.mark.parametrize(
    ("prediction", "line"),
    [
        (Classification(np.array([1, 0]), ("dog", "cat"), np.array([0.9, 0.1])), "dog 90.0 %"),
        (Caption("a red car", -1.5), "a red car"),
        (Match(("a", "b"), np.array([0.1, 0.5]), np.array([0.2, 0.8])), "b 80.0 % (cosine 0.50)"),
        (Answer(("yes", "no"), np.array([0.75, 0.25])), "yes 75.0 %"),
    ],
)
def test_texts_are_drawn_below_the_picture(prediction: Classification | Caption | Match | Answer, line: str) -> None:
    picture = Image.new("RGB", (300, 50), (10, 20, 30))
    assert prediction.lines()[0] == line
    drawn = prediction.draw(picture)
    assert drawn.width == 300
    assert drawn.height > 60
    assert drawn.getpixel((5, 5)) == (10, 20, 30)
    assert np.asarray(drawn)[50:].min() < 100  # something is written
    with pytest.raises(ValueError, match="give draw"):
        prediction.draw()


def test_plain_data_of_every_kind() -> None:
    assert Match(("a",), np.array([0.5]), np.array([1.0])).to_json() == {
        "texts": ["a"],
        "similarities": [0.5],
        "probabilities": [1.0],
    }
    assert Answer(("yes",), np.array([1.0])).to_json() == {"answers": ["yes"], "probabilities": [1.0]}
    assert FilledMask(("red",), np.array([1.0])).to_json() == {"words": ["red"], "probabilities": [1.0]}
