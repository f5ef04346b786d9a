"""The model card of the packaged checkpoint, and the parts of the measurements that need no model."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import load_train_config

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "nano_card.py"))


def figures() -> dict[str, Any]:
    measured = {"count": 7, "unit": "pictures", "metrics": {"box_ap50": 0.125}, "baselines": {"box_ap50": 0.5}}
    return {"parameters": 30e6, "mebibytes": 29.94, "names": 689, "scenes": {"objects": measured}}


def test_what_was_measured_is_told_from_what_was_not(card: dict[str, Any]) -> None:
    text = card["card"](figures(), 90, None)
    assert "| detection, box AP50 | 12.5 | 50.0 | 7 pictures |" in text
    assert "| coco128, box AP50 | not measured | | |" in text
    assert "What that gives was not measured." in text
    assert "29.9 MiB" in text
    finetuned = {"folds": 4, "minutes": 5, "box_ap50": 0.1, "preset_box_ap50": 0.02}
    assert "box AP50 10.0 of all 80 names; the same training from the untrained preset gives 2.0." in card["card"](
        figures(), 90, finetuned
    )
    del finetuned["preset_box_ap50"]
    assert "box AP50 10.0 of all 80 names." in card["card"](figures(), 90, finetuned)


def test_every_source_of_the_recipe_is_named(card: dict[str, Any]) -> None:
    text = card["card"](figures(), 90, None)
    scenes = load_train_config("nano", {"debian": "/"}).streams["objects"].dataset
    paths = [Path(path) for path in scenes.backgrounds]
    folders = ("wallpapers", "mate", "backgrounds")
    wallpapers, mate, lomiri = (
        [path for path in paths if next(part for part in folders if part in reversed(path.parts[3:5])) == folder]
        for folder in folders
    )
    assert f"`plasma-workspace-wallpapers` | {len(wallpapers)} photographs" in text
    assert f"`mate-backgrounds` | {len(mate)} photographs" in text
    assert all(f"*{path.name.partition('_')[0]}*" in text for path in lomiri)
    assert {source.partition(":")[0] for source in scenes.cutouts} == {"openmoji", "tuxpaint"}


def test_photographs_of_shared_names_are_chosen() -> None:
    script = runpy.run_path(str(BENCHMARKS / "nano_checkpoint.py"))
    assert script["shared_names"](["Zebra", "person", "cat"], ("cat", "dog", "zebra")) == ["Zebra", "cat"]
    content = {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}],
        "images": [{"id": 10}, {"id": 11}],
        "annotations": [{"image_id": 10, "category_id": 1}, {"image_id": 10, "category_id": 2}],
    }
    kept = script["only"](content, ["cat"])
    assert [row["id"] for row in kept["images"]] == [10]
    assert kept["annotations"] == content["annotations"][:1]


def test_every_picture_is_held_out_once(tmp_path: Path) -> None:
    script = runpy.run_path(str(BENCHMARKS / "nano_finetuning.py"))
    content = {
        "categories": [{"id": 1, "name": "cat"}],
        "images": [{"id": number} for number in range(7)],
        "annotations": [{"image_id": number, "category_id": 1} for number in (0, 3, 3, 6)],
    }
    held_out = []
    for fold in range(3):
        train, val = (json.loads(file.read_text()) for file in script["write_fold"](content, fold, 3, tmp_path))
        assert len(train["images"]) + len(val["images"]) == 7
        assert len(train["annotations"]) + len(val["annotations"]) == 4
        held_out += [row["id"] for row in val["images"]]
    assert sorted(held_out) == list(range(7))
