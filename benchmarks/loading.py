"""Loading for training, beside plain torchvision v2 with a DataLoader: records per second, in one run.

    python benchmarks/loading.py
    python benchmarks/loading.py --coco coco128 --classes imagenet-sample/val

Detection with masks: large scale jitter (0.1 to 2), crop or fill to 800 x 800, flip; from COCO polygons.
Classification: random resized crop to 224, bicubic, flip. Both sides give uint8 pictures, boxes and masks, in turns,
with 0, 1 and 2 loading processes; the best of the rounds counts. One thread in every process.
Without loading processes the clock is that of the processor, so that other programs do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Row, arguments, report
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection, ImageFolder, wrap_dataset_for_transforms_v2
from torchvision.transforms import v2

from uniperceiver.config import CocoInstancesConfig, ImageFolderConfig, ImageSizeConfig, TaskKind
from uniperceiver.data.datasets import Dataset, open_dataset
from uniperceiver.data.loading import Batches, endless
from uniperceiver.data.transforms import train_transform

SIDE, CROP = 800, 224
BATCH = 4


def ours(dataset: Dataset, kind: TaskKind, size: ImageSizeConfig, workers: int) -> Iterator[Any]:
    batches = Batches(dataset, train_transform(kind, size), list, batch_size=BATCH, seed=0)
    return endless(batches, workers=workers)


def plain(dataset: Any, workers: int) -> Iterator[Any]:
    while True:
        loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, collate_fn=list, drop_last=True)
        yield from loader


def plain_detection(annotations: Path, images: Path) -> Any:
    transforms = v2.Compose(
        [
            v2.ToImage(),
            v2.ScaleJitter((SIDE, SIDE), (0.1, 2.0), antialias=True),
            v2.RandomCrop(SIDE, pad_if_needed=True, fill={torch.Tensor: 128, "others": 0}),
            v2.RandomHorizontalFlip(),
            v2.SanitizeBoundingBoxes(),
        ]
    )
    dataset = CocoDetection(str(images), str(annotations), transforms=transforms)
    dataset.ids = [number for number in dataset.ids if dataset.coco.getAnnIds(imgIds=number)]
    return wrap_dataset_for_transforms_v2(dataset, target_keys=["boxes", "labels", "masks"])


def plain_classification(root: Path) -> Any:
    crop = v2.RandomResizedCrop(CROP, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    return ImageFolder(str(root), transform=v2.Compose([crop, v2.RandomHorizontalFlip(), v2.PILToTensor()]))


def records_per_second(stream: Iterator[Any], batches: int, clock: Callable[[], float]) -> float:
    next(stream)  # processes start
    began = clock()
    for _ in islice(stream, batches):
        pass
    return batches * BATCH / (clock() - began)


def compare(
    name: str,
    mine: Callable[[int], Iterator[Any]],
    theirs: Callable[[int], Iterator[Any]],
    given: argparse.Namespace,
    aim: float,
) -> Row:
    """Print the ratio with 0, 1 and 2 loading processes; the row of the table, without any."""
    is_detection = name.startswith("detection")
    batches, rounds = given.batches if is_detection else 4 * given.batches, given.rounds
    ratio, detail = 0.0, ""
    for workers in (0,) if given.json else (0, 1, 2):
        best_mine = best_theirs = 0.0
        clock = time.monotonic if workers else time.process_time
        for _ in range(rounds):
            best_mine = max(best_mine, records_per_second(mine(workers), batches, clock))
            best_theirs = max(best_theirs, records_per_second(theirs(workers), batches, clock))
        print(
            f"{name}, {workers} workers: {best_mine:.1f} records/s, torchvision {best_theirs:.1f}: "
            f"{best_mine / best_theirs:.2f} times",
            flush=True,
        )
        if workers == 0:
            ratio = best_mine / best_theirs
            detail = f"({best_mine:.0f} against {best_theirs:.0f} records/s of one core)"
    return Row(f"input pipeline, {name}", "torchvision v2", ratio, aim, detail=detail)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--coco", type=Path, help="folder with images/ and annotations/instances_*.json")
    parser.add_argument("--classes", type=Path, help="one folder of pictures per class")
    parser.add_argument("--batches", type=int, default=20, help="of 4 records, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.quick:
        given.batches, given.rounds = 5, 1
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as made:
        if given.coco is None or given.classes is None:
            write_pictures(Path(made))
        given.coco, given.classes = given.coco or Path(made), given.classes or Path(made) / "classes"
        report(measured_rows(given), given.json)


def measured_rows(given: argparse.Namespace) -> list[Row]:
    (annotations,) = sorted((given.coco / "annotations").glob("instances_*.json"))[:1]
    images = given.coco / "images"
    detection = open_dataset(CocoInstancesConfig(str(annotations), str(images)))
    detection_size = ImageSizeConfig(train=SIDE, scale=(0.1, 2.0))
    beside = plain_detection(annotations, images)
    rows = [
        compare(
            f"detection with masks, {SIDE} px",
            lambda workers: ours(detection, "detection", detection_size, workers),
            lambda workers: plain(beside, workers),
            given,
            aim=4.0,
        )
    ]
    folder = open_dataset(ImageFolderConfig(str(given.classes)))
    classification_size = ImageSizeConfig(train=CROP)
    beside_folder = plain_classification(given.classes)
    rows.append(
        compare(
            f"classification, {CROP} px",
            lambda workers: ours(folder, "classification", classification_size, workers),
            lambda workers: plain(beside_folder, workers),
            given,
            aim=1.6,
        )
    )
    return rows


def write_pictures(folder: Path) -> None:
    """16 JPEGs of 640 × 480 pixels, each with eight objects outlined by polygons of 24 corners; and a class of them."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    (folder / "classes" / "one").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, 17):
        coarse = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)
        for place in (folder / "images", folder / "classes" / "one"):
            picture.save(place / f"{number}.jpg", quality=90)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480})
        annotations += [outlined(8 * number + each, number, random) for each in range(8)]
    categories = [{"id": 1, "name": "thing"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_made.json").write_text(json.dumps(content))


def outlined(identity: int, image: int, random: np.random.Generator) -> dict[str, Any]:
    """An annotation: a circle that is not quite round."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = random.uniform(20, 90) * random.uniform(0.8, 1.2, 24)
    corners = np.stack(
        [random.uniform(100, 540) + radius * np.cos(angles), random.uniform(100, 380) + radius * np.sin(angles)], axis=1
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    return {
        "id": identity, "image_id": image, "category_id": 1, "iscrowd": 0, "area": float(np.prod(high - low)),
        "bbox": [*low.tolist(), *(high - low).tolist()], "segmentation": [corners.flatten().tolist()],
    }  # fmt: skip


if __name__ == "__main__":
    main()
