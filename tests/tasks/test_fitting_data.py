"""Bad data of every kind, given for training and for evaluation: one clear error, nothing skipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import (
    CocoInstancesConfig,
    DatasetConfig,
    ImageFolderConfig,
    KarpathyCaptionsConfig,
    PlainTextConfig,
    ScenesConfig,
    TaskKind,
    TrainConfig,
    load_train_config,
)
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
from uniperceiver.tasks.fitting_data import TaskDataError, open_data_for
from uniperceiver.training.train import train


def instances(data: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> CocoInstancesConfig:
    """The COCO file of the fixture with a change."""
    content = json.loads((data / "instances.json").read_text())
    change(content)
    (folder / "changed.json").write_text(json.dumps(content))
    return CocoInstancesConfig(str(folder / "changed.json"), str(data / "images"))


def missing_picture(content: dict[str, Any]) -> None:
    content["images"][0]["file_name"] = "nowhere.png"


def outside(content: dict[str, Any]) -> None:
    content["annotations"][0] |= {"bbox": [500, 500, 9, 9], "segmentation": [[500, 500, 509, 500, 509, 509]]}


def unknown_class(content: dict[str, Any]) -> None:
    content["annotations"][0]["category_id"] = 99


def nothing(content: dict[str, Any]) -> None:
    content |= {"images": [], "annotations": []}


def no_object(content: dict[str, Any]) -> None:
    content["annotations"] = []


@dataclass(frozen=True)
class BadData:
    """A data set that cannot be used, and what is said of it."""

    stream: str
    make: Callable[[Path, Path], DatasetConfig]
    message: str


def broken_pictures(data: Path, folder: Path) -> DatasetConfig:
    for picture in (data / "folders").rglob("*.png"):
        target = folder / "broken" / picture.relative_to(data / "folders")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture.read_bytes()[:60])
    return ImageFolderConfig(str(folder / "broken"))


def empty_text(data: Path, folder: Path) -> DatasetConfig:
    (folder / "empty.txt").touch()
    return PlainTextConfig(str(folder / "empty.txt"))


CASES = {
    "missing annotations": BadData(
        "objects", lambda data, folder: CocoInstancesConfig("/no.json", str(data)), r"no annotation file /no\.json"
    ),
    "missing picture": BadData(
        "objects", lambda *at: instances(*at, missing_picture), r"nowhere\.png.* does not exist"
    ),
    "outside": BadData("objects", lambda *at: instances(*at, outside), r"annotation 1 .*outside its picture of 64x48"),
    "unknown class": BadData("objects", lambda *at: instances(*at, unknown_class), "annotation 1 has category 99"),
    "no pictures": BadData("objects", lambda *at: instances(*at, nothing), "detection has no data"),
    "no objects": BadData("objects", lambda *at: instances(*at, no_object), "no annotated object"),
    "unreadable": BadData("folders", broken_pictures, "is broken"),
    "missing folder": BadData("folders", lambda data, folder: ImageFolderConfig(str(folder / "no")), "no folder"),
    "empty split": BadData(
        "captions",
        lambda data, folder: KarpathyCaptionsConfig(str(data / "captions.json"), str(data / "images"), ("val",)),
        "no split 'val': it has test, train",
    ),
    "empty text": BadData("language", empty_text, "holds no text"),
    "another task's data": BadData(
        "captions",
        lambda data, folder: ImageFolderConfig(str(data / "folders")),
        r"captioning reads records of type CaptionedImage or CaptionedVideo, .* LabelledImage",
    ),
    "another view": BadData(
        "folders",
        lambda data, folder: ScenesConfig(view="texts", split="val", images=2),
        r"classification reads records of type LabelledImage or LabelledVideo, .* TextRecord",
    ),
}


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    return replace(config, schedule=replace(config.schedule, steps=1))


@pytest.mark.parametrize("name", CASES)
def test_bad_training_data_is_an_error(name: str, config: TrainConfig, data: Path, tmp_path: Path) -> None:
    case = CASES[name]
    row = replace(config.streams[case.stream], dataset=case.make(data, tmp_path))
    with pytest.raises(ValueError, match=case.message):
        train(replace(config, streams={case.stream: row}), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_bad_evaluation_data_is_an_error(config: TrainConfig, data: Path, tmp_path: Path) -> None:
    checkpoint = train(config, tmp_path / "run")
    for name, case in CASES.items():
        row = replace(config.streams[case.stream], evaluation=case.make(data, tmp_path))
        with pytest.raises(ValueError, match=case.message):
            evaluate_checkpoint(checkpoint, replace(config, streams={case.stream: row}), None, tmp_path / "report.json")
        assert not (tmp_path / "report.json").exists(), name
        shutil.rmtree(tmp_path / "broken", ignore_errors=True)


@pytest.mark.parametrize(
    ("kind", "view"),
    [
        ("detection", "objects"),
        ("classification", "labels"),
        ("captioning", "captions"),
        ("retrieval", "captions"),
        ("masked_language_modeling", "texts"),
        ("masked_language_modeling", "captions"),
        ("visual_question_answering", "questions"),
    ],
)
def test_data_that_fit_are_opened(kind: TaskKind, view: Any) -> None:
    assert len(open_data_for(kind, ScenesConfig(view=view, split="val", images=2))) >= 2


def test_both_errors_are_values(data: Path) -> None:
    with pytest.raises(DatasetError):
        open_data_for("detection", CocoInstancesConfig("/no.json", str(data)))
    with pytest.raises(TaskDataError):
        open_data_for("detection", ImageFolderConfig(str(data / "folders")))
