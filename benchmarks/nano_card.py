"""The model card of the packaged checkpoint, from what `nano_checkpoint.py` and `nano_finetuning.py` measured.

    python benchmarks/nano_card.py figures/figures.json --minutes 90 --finetuned figures/finetuned.json \\
        --out src/uniperceiver/checkpoints/nano/MODEL_CARD.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from uniperceiver.evaluation.report import percent

ROWS = (
    ("detection, box AP50", "objects", "box_ap50"),
    ("the same, whatever the name", "objects", "agnostic_box_ap50"),
    ("instance segmentation, mask AP50", "objects", "mask_ap50"),
    ("classification, top-1", "labels", "top1"),
    ("R@1 image → text", "pairs", "image_to_text_r1"),
    ("R@1 text → image", "pairs", "text_to_image_r1"),
    ("captions, F1 of object names", "captions", "name_f1"),
    ("questions, accuracy", "questions", "accuracy"),
    ("masked words, top-1", "language", "top1"),
    ("held-out names: box AP50 whatever the name", "objects-held-out", "agnostic_box_ap50"),
    ("held-out names: box AP50", "objects-held-out", "box_ap50"),
    ("held-out names: classification, top-1", "labels-held-out", "top1"),
    ("held-out names: R@1 image → text", "pairs-held-out", "image_to_text_r1"),
)
TEMPLATE = Path(__file__).with_suffix(".md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="of nano_checkpoint.py")
    parser.add_argument("--minutes", type=float, required=True, help="how long it was trained")
    parser.add_argument("--finetuned", type=Path, help="of nano_finetuning.py")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    finetuned = json.loads(given.finetuned.read_text(encoding="utf-8")) if given.finetuned else None
    given.out.write_text(card(json.loads(given.figures.read_text(encoding="utf-8")), given.minutes, finetuned), "utf-8")
    print(given.out)


def card(figures: dict[str, Any], minutes: float, finetuned: dict[str, Any] | None) -> str:
    """The text of the card; what was not measured is said to be so."""
    scenes = [row(what, figures.get("scenes", {}).get(stream), metric) for what, stream, metric in ROWS]
    coco, imagenet = figures.get("coco"), figures.get("imagenet")
    photographs = [
        row(f"coco128, box AP50{among(coco)}", coco, "box_ap50"),
        row("the same, whatever the name", coco, "agnostic_box_ap50"),
        row(f"ImageNet sample, top-1{among(imagenet)}", imagenet, "top1"),
        row("ImageNet sample, top-5", imagenet, "top5"),
    ]
    return TEMPLATE.read_text("utf-8").format(
        parameters=figures["parameters"] / 1e6,
        mebibytes=figures["mebibytes"],
        minutes=minutes,
        names=figures["names"],
        scenes="\n".join(scenes),
        photographs="\n".join(photographs),
        finetuned=after_training(finetuned),
    )


def among(measured: dict[str, Any] | None) -> str:
    return "" if measured is None else f", {len(measured['names'])} names"


def row(what: str, measured: dict[str, Any] | None, metric: str) -> str:
    """A line of a table, with dashes for what was not measured."""
    if measured is None or metric not in measured["metrics"]:
        return f"| {what} | not measured | | |"
    trivial = measured["baselines"].get(metric)
    baseline = "–" if trivial is None else percent(trivial)
    return f"| {what} | {percent(measured['metrics'][metric])} | {baseline} | {measured['count']} {measured['unit']} |"


def after_training(finetuned: dict[str, Any] | None) -> str:
    if finetuned is None:
        return "What that gives was not measured."
    said = (
        f"On coco128, {finetuned['folds']} folds of cross-validation with {finetuned['minutes']:g} minutes each give "
        f"box AP50 {percent(finetuned['box_ap50'])} of all 80 names"
    )
    if "preset_box_ap50" not in finetuned:
        return f"{said}."
    return f"{said}; the same training from the untrained preset gives {percent(finetuned['preset_box_ap50'])}."


if __name__ == "__main__":
    main()
