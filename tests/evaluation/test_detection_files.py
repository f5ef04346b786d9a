from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from uniperceiver.evaluation.detection_files import score_detections
from uniperceiver.evaluation.file_scores import PredictionFileError

NAMES = (
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar100",
    "ar_small",
    "ar_medium",
    "ar_large",
)
Rows = list[dict[str, Any]]


def polygon(x: float, y: float, width: float, height: float) -> list[list[float]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def encoded(polygons: list[list[float]]) -> dict[str, Any]:
    """Run lengths as results files have them."""
    mask = codec.merge(codec.frPyObjects(polygons, 120, 120))
    return mask | {"counts": mask["counts"].decode()}


def case(seed: int = 0, images: int = 12) -> tuple[dict[str, Any], Rows]:
    """Annotations with crowds and empty images; predictions with ties, and images without any."""
    random = np.random.default_rng(seed)
    annotations: Rows = []
    predictions: Rows = []
    for image in range(1, images + 1):
        for _ in range(0 if image % 5 == 0 else int(random.integers(1, 6))):
            box = [float(v) for v in (*random.uniform(0, 60, 2), *random.uniform(5, 60, 2))]
            row = {"image_id": image, "category_id": int(random.choice([3, 7])), "bbox": box}
            crowd = int(random.random() < 0.2)
            more = {
                "id": len(annotations) + 1,
                "iscrowd": crowd,
                "area": box[2] * box[3],
                "segmentation": polygon(*box),
            }
            annotations.append(row | more)
            for _ in range(0 if image % 4 == 0 else 3):
                moved = [max(0.0, v) for v in (np.array(box) + random.normal(0, 3, 4)).tolist()]
                score = float(random.integers(1, 5) / 4)
                predictions.append(row | {"bbox": moved, "score": score, "segmentation": polygon(*moved)})
    frame = {
        "images": [{"id": i, "height": 120, "width": 120} for i in range(1, images + 1)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
    }
    return frame | {"annotations": annotations}, predictions


@pytest.fixture
def score(tmp_path: Path):
    def run(annotations: Any, predictions: Any, training: Any = None) -> dict[str, float]:
        for name, content in (("truth", annotations), ("found", predictions), ("training", training)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        train = tmp_path / "training.json" if training is not None else None
        return score_detections(tmp_path / "found.json", tmp_path / "truth.json", train).metrics

    return run


def official(annotations: dict[str, Any], predictions: Rows, kind: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(annotations))
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(json.loads(json.dumps(predictions))), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float("nan") if value < 0 else float(value) for value in evaluation.stats]


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_pycocotools(score, seed: int) -> None:
    annotations, predictions = case(seed)
    metrics = score(annotations, predictions)
    boxes = official(annotations, predictions, "bbox")
    np.testing.assert_array_equal([metrics[f"box_{name}"] for name in NAMES], boxes)
    # Only without boxes does pycocotools take a mask's own area, as we always do.
    bare = [
        {key: value for key, value in row.items() if key != "bbox"} | {"segmentation": encoded(row["segmentation"])}
        for row in predictions
    ]
    masks = official(annotations, bare, "segm")
    np.testing.assert_array_equal([metrics[f"mask_{name}"] for name in NAMES], masks)
    alone = score(annotations, bare)
    np.testing.assert_array_equal([alone[f"mask_{name}"] for name in NAMES], masks)
    assert 0.05 < metrics["box_ap"] < 1


def test_rare_common_and_frequent_classes(score) -> None:
    annotations, predictions = case()
    assert "box_ap_rare" not in score(annotations, predictions)
    training = {
        "annotations": [{"image_id": i, "category_id": 3} for i in range(150)]
        + [{"image_id": 1, "category_id": 7}] * 50
    }
    metrics = score(annotations, predictions, training)
    assert np.isnan(metrics["box_ap_common"])
    assert (metrics["box_ap_rare"] + metrics["box_ap_frequent"]) / 2 == pytest.approx(metrics["box_ap"])
    for category in annotations["categories"]:
        category["image_count"] = 50
    assert score(annotations, predictions)["mask_ap_common"] == pytest.approx(metrics["mask_ap"])


def test_predictions_of_unknown_images_or_categories_are_errors(score) -> None:
    annotations, predictions = case()
    with pytest.raises(PredictionFileError, match=r"1 values of image_id .* \[99\]"):
        score(annotations, [*predictions, predictions[0] | {"image_id": 99}])
    with pytest.raises(PredictionFileError, match=r"1 values of category_id .* \[1\]"):
        score(annotations, [*predictions, predictions[0] | {"category_id": 1}])


def test_files_of_another_shape_are_errors(score, tmp_path: Path) -> None:
    annotations, predictions = case()
    with pytest.raises(PredictionFileError, match="JSON list"):
        score(annotations, {"predictions": []})
    with pytest.raises(PredictionFileError, match="entry 0 has no score"):
        score(annotations, [{"image_id": 1, "category_id": 3}])
    with pytest.raises(PredictionFileError, match="1 of 2 predictions have a segmentation"):
        score(annotations, [predictions[0], predictions[1] | {"segmentation": None}])
    with pytest.raises(PredictionFileError, match="far outside its image of 120 x 120 pixels"):
        score(annotations, [row | {"segmentation": polygon(0, 0, 1e30, 5)} for row in predictions[:1]])
    with pytest.raises(PredictionFileError, match="a list 'images'"):
        score([], predictions)
    with pytest.raises(PredictionFileError, match="no file"):
        score_detections(tmp_path / "a.json", tmp_path / "b.json")


def test_no_prediction_at_all_scores_zero(score) -> None:
    annotations, _ = case()
    assert score(annotations, [])["box_ap"] == 0
