"""What training the packaged checkpoint on photographs gives: cross-validation on a small COCO set.

    python benchmarks/nano_finetuning.py src/uniperceiver/checkpoints/nano --out figures \\
        --coco DATA/coco128/annotations/instances_train2017.json DATA/coco128/images --folds 4 --minutes 5

Every picture is held out once. The same is done with the preset, whose encoders alone are trained, to compare, unless
``--no-preset`` is given. Writes ``finetuned.json`` with the means over the folds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--coco", nargs=2, type=Path, required=True, metavar=("JSON", "IMAGES"))
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--no-preset", action="store_true", help="half the time, without what it is compared with")
    parser.add_argument("--out", type=Path, default=Path("figures"))
    given = parser.parse_args()
    annotations, images = given.coco
    content = json.loads(annotations.read_text(encoding="utf-8"))
    models = {"": str(given.checkpoint)} | ({} if given.no_preset else {"preset_": "nano"})
    scores: dict[str, list[float]] = {kind: [] for kind in models}
    for fold in range(given.folds):
        files = write_fold(content, fold, given.folds, given.out / f"fold{fold}")
        for kind, model in models.items():
            run = given.out / f"fold{fold}" / (kind or "packaged_").rstrip("_")
            scores[kind].append(trained(model, files, images, run, given.minutes))
            print(f"fold {fold}, {model}: box AP50 {100 * scores[kind][-1]:.1f}", flush=True)
    found: dict[str, Any] = {"folds": given.folds, "minutes": given.minutes}
    for kind, values in scores.items():
        found[f"{kind}box_ap50"] = mean(values)
        found[f"{kind}spread"] = stdev(values) if len(values) > 1 else 0.0
    path = given.out / "finetuned.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(path)


def write_fold(content: dict[str, Any], fold: int, folds: int, folder: Path) -> tuple[Path, Path]:
    """The annotations of the pictures to train on, and of those of one fold; the categories are in both."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out = {row["id"] for row in sorted(content["images"], key=lambda row: row["id"])[fold::folds]}
    files = []
    for name, is_wanted in (("train", False), ("val", True)):
        part = {
            "categories": content["categories"],
            "images": [row for row in content["images"] if (row["id"] in held_out) == is_wanted],
            "annotations": [row for row in content["annotations"] if (row["image_id"] in held_out) == is_wanted],
        }
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(part), encoding="utf-8")
    return files[0], files[1]


def trained(model: str, files: tuple[Path, Path], images: Path, run: Path, minutes: float) -> float:
    """Box AP50 on the held-out pictures after training."""
    train, val = files
    paths = {"train": str(train), "val": str(val), "images": str(images)}
    given = [option for name, path in paths.items() for option in ("--path", f"{name}={path}")]
    command = [sys.executable, "-m", "uniperceiver"]
    given += ["--model", model, "--minutes", str(minutes)]
    subprocess.run([*command, "train", "finetune", "--out", str(run), *given], check=True)
    subprocess.run([*command, "evaluate", str(run / "checkpoint")], check=True)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return float(report["streams"]["objects"]["metrics"]["box_ap50"])


if __name__ == "__main__":
    main()
