"""Box AP of made-up detections by pycocotools and by `uniperceiver.evaluation`, in one run: times, and equal figures.

As many classes and objects as COCO val2017 has, 100 detections an image. Both sides start from what is in memory:
pycocotools from the rows of an official results file, ours from arrays.
"""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import astuple
from typing import Any

import numpy as np
from measuring import Row, arguments, report
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from uniperceiver.data.records import ObjectReference
from uniperceiver.evaluation.average_precision import average_precision
from uniperceiver.evaluation.compressed_detection import CompressedDetection

CLASSES = 80
OBJECTS = 7
"""Mean number of annotated objects of an image; val2017 has 7.3."""
SIZE = (480, 640)


def references(images: int, random: np.random.Generator) -> list[ObjectReference]:
    """Objects of all sizes and frequencies, one in a hundred a crowd, some images without any."""
    frequencies = 1 / np.arange(1, CLASSES + 1)
    rows = []
    for number in range(images):
        n = int(random.poisson(OBJECTS))
        sides = np.exp(random.uniform(np.log(6), np.log(300), (n, 2)))
        corner = random.uniform(0, 1, (n, 2)) * (np.array(SIZE[::-1]) - sides)
        rows.append(
            ObjectReference(
                image_id=str(number + 1),
                size=SIZE,
                boxes=np.concatenate([corner, corner + sides], axis=1),
                masks=[None] * n,
                labels=random.choice(CLASSES, n, p=frequencies / frequencies.sum()),
                is_crowd=random.random(n) < 0.01,
                areas=sides.prod(axis=1) * 0.7,
            )
        )
    return rows


def detections(truth: list[ObjectReference], each: int, random: np.random.Generator) -> dict[str, CompressedDetection]:
    """``each`` detections an image: shaken copies of the objects, the rest anywhere, scores of three digits."""
    found = {}
    for reference in truth:
        n = len(reference.labels)
        which = random.integers(0, n, each) if n else np.zeros(each, dtype=int)
        sides = random.uniform(6, 200, (each, 2))
        corner = random.uniform(0, 1, (each, 2)) * (np.array(SIZE[::-1]) - sides)
        boxes = np.concatenate([corner, corner + sides], axis=1)
        labels = random.integers(0, CLASSES, each)
        near = (random.random(each) < 0.3) & (n > 0)
        if n:
            boxes[near] = reference.boxes[which[near]] + random.normal(0, 6, (near.sum(), 4))
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
            labels[near] = reference.labels[which[near]]
        scores = (random.beta(np.where(near, 3, 1), 3) * 1000).round() / 1000
        order = np.argsort(-scores, kind="stable")
        found[reference.image_id] = CompressedDetection(boxes[order], scores[order], labels[order], None, None)
    return found


def official_rows(
    truth: list[ObjectReference], found: dict[str, CompressedDetection]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same as an annotation file and a results file."""
    annotations, results = [], []
    for reference in truth:
        image = int(reference.image_id)
        for box, label, area, crowd in zip(
            reference.boxes.tolist(), reference.labels, reference.areas, reference.is_crowd, strict=True
        ):
            row = {"id": len(annotations) + 1, "image_id": image, "category_id": int(label), "iscrowd": int(crowd)}
            annotations.append(row | {"bbox": width_and_height(box), "area": float(area)})
        detection = found[reference.image_id]
        for box, label, score in zip(detection.boxes.tolist(), detection.labels, detection.scores, strict=True):
            row = {"image_id": image, "category_id": int(label), "score": float(score)}
            results.append(row | {"bbox": width_and_height(box)})
    images = [{"id": int(r.image_id), "height": SIZE[0], "width": SIZE[1]} for r in truth]
    categories = [{"id": label, "name": str(label)} for label in range(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def width_and_height(box: list[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def pycocotools_figures(dataset: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dataset
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


class Clock:
    """Wall-clock and processor seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def elapsed(self) -> tuple[float, float]:
        """Both, until now."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="of each image")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.quick:
        given.images = min(given.images, 500)
    random = np.random.default_rng(given.seed)
    truth = references(given.images, random)
    found = detections(truth, given.detections, random)
    dataset, results = official_rows(truth, found)

    average_precision(dict([next(iter(found.items()))]), truth[:1], "box")  # imports
    start = Clock()
    ours = astuple(average_precision(found, truth, "box"))[:12]
    our_time = start.elapsed()
    start = Clock()
    official = pycocotools_figures(dataset, results)
    official_time = start.elapsed()

    print(f"{given.images} images, {len(dataset['annotations'])} objects, {len(results)} detections")
    for name, a, b in zip(("wall clock", "processor"), official_time, our_time, strict=True):
        print(f"{name}: pycocotools {a:.2f} s, ours {b:.2f} s: {a / b:.1f} times as fast")
    print("figures, pycocotools:", " ".join(f"{value:.6f}" for value in official))
    print("figures, ours:       ", " ".join(f"{value:.6f}" for value in ours))
    largest = max(abs(a - b) for a, b in zip(ours, official, strict=True))
    print(f"largest difference {largest:.1e}")
    if largest > 1e-12:
        raise SystemExit("the figures differ")
    against, here = official_time[0], our_time[0]
    what = f"COCO box evaluation, {given.images} images, {len(results)} detections"
    report(
        [
            Row(
                what,
                "pycocotools",
                against / here,
                30,
                detail=f"({here:.2f} against {against:.1f} s, all figures equal)",
            )
        ],
        given.json,
    )


if __name__ == "__main__":
    main()
