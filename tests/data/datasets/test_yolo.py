from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from uniperceiver.config import FoldConfig, YoloConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.yolo import Yolo, label_file, read_class_names


@pytest.fixture
def make(write_picture: Callable[..., Path], tmp_path: Path) -> Any:
    write_picture("pets/images/train/a.png", 20, 10)
    write_picture("pets/images/train/b.png", 20, 10)
    (tmp_path / "pets" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "pets" / "data.yaml").write_text("names: {0: cat, 1: dog}\n")

    def build(text: str, **changes: Any) -> Yolo:
        (tmp_path / "pets" / "labels" / "train" / "a.txt").write_text(text)
        given = {"images": str(tmp_path / "pets/images/train"), "names": str(tmp_path / "pets/data.yaml")} | changes
        return Yolo(YoloConfig(**given))

    return build


def test_boxes_polygons_and_pictures_without_objects(make: Any) -> None:
    dataset = make("1 0.5 0.5 0.5 0.4\n\n0 0 0 0.5 0 0.5 1 0 1\n")
    assert dataset.names == ("cat", "dog")
    record = dataset[0]
    assert record.boxes.tolist() == [[5, 3, 15, 7], [0, 0, 10, 10]]
    assert record.labels.tolist() == [1, 0]
    expected = torch.zeros(2, 10, 20, dtype=torch.bool)
    expected[0, 3:7, 5:15] = True
    expected[1, :, :10] = True
    assert torch.equal(record.masks, expected)
    assert len(dataset[1].labels) == 0
    reference = dataset.reference(record)
    assert reference.areas.tolist() == [40, 100]
    assert record.has_mask.tolist() == [False, True]
    assert [mask is None for mask in reference.masks] == [True, False]


def test_exif_rotation_turns_the_size(make: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "pets/images/train/a.png", exif=exif)
    record = make("0 0.5 0.5 1 1")[0]
    assert tuple(record.image.shape) == (3, 20, 10)
    assert record.boxes.tolist() == [[0, 0, 10, 20]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 0.5 0.5 0.5 0.4", "class 2, but there are 2 names"),
        ("0 0.5 0.5 0.5", "has 3 coordinates"),
        ("0 0.5 0.5 0.5 0.1 0.2", "has 5 coordinates"),
        ("cat 0.5 0.5 0.5 0.5", "expected a class number"),
        ("0 100 20 30 40", "lies outside its picture"),
        ("0 nan 0.5 0.5 0.5", "lies outside its picture"),
        ("0 0.5 0.5 0 0.4", "without width or height"),
    ],
)
def test_bad_lines_are_named(make: Any, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"a\.txt, line 2.*{message}"):
        make(f"0 0.5 0.5 0.5 0.5\n{text}")


def test_where_labels_lie() -> None:
    images = Path("x/images/train")
    assert label_file(images / "sub/a.jpg", images, None) == Path("x/labels/train/sub/a.txt")
    assert label_file(Path("x/train/a.jpg"), Path("x/train"), None) == Path("x/train/a.txt")
    assert label_file(images / "sub/a.jpg", images, Path("y")) == Path("y/sub/a.txt")


def test_names_lists_and_folds(make: Any, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("cat\ndog\n")
    assert read_class_names(names) == ("cat", "dog")
    listed = tmp_path / "pets" / "train.txt"
    listed.write_text("images/train/b.png\nimages/train/a.png\n")
    dataset = make("0 0.5 0.5 0.5 0.5", images=str(listed), names=str(names), fold=FoldConfig(2, held_out=False))
    assert [dataset[i].image_id.rpartition("/")[2] for i in range(len(dataset))] == ["a.png"]


def test_what_cannot_be_used_is_named(make: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no picture of .* has labels"):
        make("0 0.5 0.5 0.5 0.5", labels=str(tmp_path))
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text("a: &a [x, x]\nnames: [*a, *a]\n")
    with pytest.raises(DatasetError, match="YAML alias"):
        read_class_names(bomb)
    bomb.write_text("names: {0: cat, 5: dog}\n")
    with pytest.raises(DatasetError, match="should give `names`"):
        read_class_names(bomb)


@pytest.mark.parametrize(("name", "said"), [("no", "False"), ("on", "True"), ("null", "None")])
def test_names_that_yaml_takes_for_something_else(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(f"names: [cat, {name}]\n")
    with pytest.raises(DatasetError, match=f"the name of class 1 is {said} in YAML: write it in quotes"):
        read_class_names(path)
    path.write_text(f"names: [3, '{name}']\n")
    assert read_class_names(path) == ("3", name)


def test_names_that_are_numbers_stay_as_written(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: {0: 007, 1: 1.50, 2: 1_000}\n")
    assert read_class_names(path) == ("007", "1.50", "1_000")
