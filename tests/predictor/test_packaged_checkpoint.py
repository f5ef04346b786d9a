"""The checkpoint `nano` that comes with the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uniperceiver import Predictor, cli
from uniperceiver.cli.options import found_model
from uniperceiver.config import ScenesConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.scenes import SceneLabels
from uniperceiver.predictor.model_folders import PACKAGED, find_checkpoint

NANO = PACKAGED / "nano"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.from_pretrained("nano")


def test_it_fits_into_the_wheel() -> None:
    assert sum(file.stat().st_size for file in NANO.iterdir()) <= 40e6
    assert "## What it cannot" in (NANO / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_first_command_needs_no_model(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    out = tmp_path / "results"
    with pytest.raises(SystemExit) as end:
        cli.main(["detect", str(tmp_path / "photo.jpg"), "--labels", "dog, bicycle", "--out", str(out)])
    assert not end.value.code
    assert len(json.loads((out / "predictions.json").read_text(encoding="utf-8"))) == 1


def test_it_tells_things_apart_that_it_was_shown(predictor: Predictor) -> None:
    """Twenty composed pictures of one thing each, among twenty names: chance is one."""
    config = ScenesConfig(view="labels", split="val", images=20, size=128, cutouts="openmoji", names=20, seed=1)
    pictures = open_dataset(config)
    assert isinstance(pictures, SceneLabels)
    known = set(predictor.labels("detection"))
    records = [record for record in pictures if pictures.names[record.label] in known]
    names = [pictures.names[record.label] for record in records]
    said = predictor.classify([record.image for record in records], labels=sorted(set(pictures.names) & known))
    assert sum(one.names[0] == name for one, name in zip(said, names, strict=True)) >= len(names) / 2


def test_a_folder_of_its_name_that_is_no_checkpoint_does_not_hide_it(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("nano") == NANO
    assert found_model("nano") == "nano"  # the preset
    (tmp_path / "nano" / "config.yaml").write_text("")
    assert find_checkpoint("nano") == Path("nano")
    assert found_model("nano") == found_model("./nano") == str(tmp_path / "nano")  # "nano" alone would be the preset
    assert Path(found_model("packaged:nano")) == NANO
    assert find_checkpoint("packaged:nano") == NANO
