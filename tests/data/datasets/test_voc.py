from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver.config import VocConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.voc import Voc
from uniperceiver.data.transforms import test_transform as evaluation_transform

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
    "<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
)


def xml(*objects: dict[str, Any]) -> str:
    default = {"name": "dog", "difficult": 0, "x0": 3, "y0": 2, "x1": 6, "y1": 5}
    return (
        "<annotation><filename>a.png</filename>"
        + "".join(OBJECT.format(**(default | o)) for o in objects)
        + "</annotation>"
    )


@pytest.fixture
def root(write_picture: Callable[..., Path], tmp_path: Path) -> Path:
    write_picture("voc/JPEGImages/a.png", 10, 8)
    for folder in ("Annotations", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationObject"):
        (tmp_path / "voc" / folder).mkdir(parents=True)
    (tmp_path / "voc/Annotations/a.xml").write_text(xml({}, {"name": "cat", "difficult": 1}))
    for kind in ("Main", "Segmentation"):
        (tmp_path / f"voc/ImageSets/{kind}/train.txt").write_text("a\n")
    return tmp_path / "voc"


def test_boxes_count_from_one_and_difficult_objects_are_ignored(root: Path) -> None:
    dataset = Voc(VocConfig(str(root), split="train"))
    assert dataset.names == ("cat", "dog")
    record = dataset[0]
    assert record.boxes.tolist() == [[2, 1, 6, 5]] * 2
    assert record.labels.tolist() == [1, 0]
    assert record.is_crowd.tolist() == [False, True]
    assert record.masks[0].sum() == 16
    assert not record.has_mask.any()
    assert not dataset.reference(record).has_masks


def test_masks_of_objects(root: Path) -> None:
    values = np.zeros((8, 10), dtype=np.uint8)
    values[1:5, 2:6] = 1
    values[2, 3] = 255
    values[0, 0] = 2
    mask = Image.fromarray(values, mode="P")
    mask.putpalette([0] * 768)
    mask.save(root / "SegmentationObject/a.png")
    dataset = Voc(VocConfig(str(root), split="train", masks=True))
    record = dataset[0]
    assert torch.equal(record.masks, torch.from_numpy(np.stack([values == 1, values == 2])))
    assert dataset.reference(record).areas.tolist() == [15, 1]
    assert record.has_mask.all()
    from uniperceiver.config import ImageSizeConfig

    resized = evaluation_transform("detection", ImageSizeConfig(test=16))(record)
    assert tuple(resized.masks.shape) == (2, 16, 20)
    assert resized.masks[0].sum() == 60
    Image.fromarray(values[:4], mode="P").save(root / "SegmentationObject/a.png")
    with pytest.raises(DatasetError, match=r"a\.png should be a palette picture of height and width \[8, 10\]"):
        dataset[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "document type"),
        ("<annotation>", "not valid XML"),
        ("<html></html>", "got <html>"),
        (xml({"x0": "left"}), r"object 1 has the xmin 'left'"),
        (xml({}, {"x1": 2}), r"object 2 has the box .* without extent"),
        (xml({"name": "bird"}), "object 1 has the name 'bird'"),
    ],
)
def test_bad_annotations_are_named(root: Path, text: str, message: str) -> None:
    (root / "names.txt").write_text("cat\ndog\n")
    (root / "Annotations/a.xml").write_text(text)
    with pytest.raises(DatasetError, match=rf"a\.xml.*{message}"):
        Voc(VocConfig(str(root), names=str(root / "names.txt")))


def test_lists_and_folders_are_checked(root: Path) -> None:
    (root / "ImageSets/Main/train.txt").write_text("b\n")
    with pytest.raises(DatasetError, match="names b, but Annotations lacks"):
        Voc(VocConfig(str(root), split="train"))
    with pytest.raises(DatasetError, match=r"cannot read .*val\.txt"):
        Voc(VocConfig(str(root), split="val"))
    with pytest.raises(DatasetError, match="no folder"):
        Voc(VocConfig(str(root / "Annotations")))
    with pytest.raises(DatasetError, match=r"needs the picture .*SegmentationObject"):
        Voc(VocConfig(str(root), masks=True))
