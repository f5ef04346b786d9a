"""What a model of the configuration `nano` can do: on unseen scenes, on held-out names, and untouched on photographs.

    uniperceiver pack runs/nano --out small
    python benchmarks/nano_checkpoint.py small --debian / --coco DATA/coco128/annotations/instances_train2017.json \\
        DATA/coco128/images --imagenet DATA/imagenet-sample/val DATA/imagenet-sample/classes.csv --out figures

Photographs are asked only about those of their names that the cut-outs have, too. Writes ``figures.json``, which
`nano_card.py` makes the model card of, and the reports of the scenes. Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uniperceiver import Predictor
from uniperceiver.config import CocoInstancesConfig, ImageFolderConfig, load_train_config
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.transforms import test_transform
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
from uniperceiver.evaluation.evaluate import evaluate
from uniperceiver.predictor.model_folders import find_checkpoint
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a folder, or the name of a packaged checkpoint")
    parser.add_argument("--debian", help="root of the packages of cut-outs and backgrounds; without it no scenes")
    parser.add_argument("--coco", nargs=2, type=Path, metavar=("JSON", "IMAGES"), help="COCO instances and pictures")
    parser.add_argument("--imagenet", nargs=2, type=Path, metavar=("FOLDER", "CSV"), help="class folders, their names")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for figures.json and the reports")
    given = parser.parse_args()
    folder = find_checkpoint(given.checkpoint)
    predictor = Predictor.from_pretrained(folder)
    names = predictor.labels("detection")
    given.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"parameters": sum(p.numel() for p in predictor.model.parameters()), "names": len(names)}
    figures["mebibytes"] = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
    if given.debian:
        config = load_train_config("nano", {"debian": given.debian})
        reports = evaluate_checkpoint(folder, config, None, given.out / "scenes.json")
        figures["scenes"] = {name: entry(report.result) for name, report in reports.items()}
    if given.coco:
        figures["coco"] = on_coco(predictor, *given.coco)
    if given.imagenet:
        figures["imagenet"] = on_imagenet(predictor, *given.imagenet)
    path = given.out / "figures.json"
    path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(path)


def entry(result: Any) -> dict[str, Any]:
    """A result as plain data."""
    return {"count": result.count, "unit": result.unit, "metrics": result.metrics, "baselines": result.baselines}


def shared_names(theirs: Sequence[str], ours: Sequence[str]) -> list[str]:
    """The names of photographs that the model was trained with, in their order."""
    return [name for name in theirs if name.lower() in set(ours)]


def on_coco(predictor: Predictor, annotations: Path, images: Path) -> dict[str, Any]:
    """AP on the photographs that show an object of a shared name, asked about all shared names."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    shared = shared_names([row["name"] for row in content["categories"]], predictor.labels("detection"))
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "shared.json"
        file.write_text(json.dumps(only(content, shared)), encoding="utf-8")
        dataset = open_dataset(CocoInstancesConfig(str(file), str(images)))
        stored = next(t.config for t in predictor.checkpoint.tasks.values() if t.config.kind == "detection")
        setting = TaskSetting(stored, predictor.checkpoint.tokenizer, predictor.model.config.pixels)
        task = build_task(setting, CandidateSet.from_texts(tuple(shared), setting.tokenizer))
        transform = test_transform(stored.kind, stored.image)
        result = evaluate(predictor.model, task, dataset, transform, batch_size=BATCH)
    per_name = {name: round(value, 4) for name, value in result.per_class.items()}
    return entry(result) | {"names": shared, "per_name": per_name, "per_name_metric": result.per_class_metric}


def only(content: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """COCO annotations of some categories, and the pictures that show one."""
    categories = [row for row in content["categories"] if row["name"] in names]
    numbers = {row["id"] for row in categories}
    annotations = [row for row in content["annotations"] if row["category_id"] in numbers]
    shown = {row["image_id"] for row in annotations}
    images = [row for row in content["images"] if row["id"] in shown]
    return {"images": images, "annotations": annotations, "categories": categories}


def on_imagenet(predictor: Predictor, folder: Path, csv: Path) -> dict[str, Any]:
    """Top-1 and top-5 on the photographs of shared names, among these."""
    dataset = open_dataset(ImageFolderConfig(str(folder), names=str(csv)))
    shared = shared_names(dataset.names, predictor.labels("classification"))
    right = {1: 0, 5: 0}
    count = 0
    for index in range(len(dataset)):
        record = dataset[index]
        name = dataset.names[record.label]
        if name in shared:
            count += 1
            found = predictor.classify(record.image, shared)[0].names
            for k in right:
                right[k] += name in found[:k]
    metrics = {f"top{k}": number / max(1, count) for k, number in right.items()}
    baselines = {f"top{k}": min(1.0, k / max(1, len(shared))) for k in right}
    return {"count": count, "unit": "photographs", "metrics": metrics, "baselines": baselines, "names": shared}


if __name__ == "__main__":
    main()
