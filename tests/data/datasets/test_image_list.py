from __future__ import annotations

from pathlib import Path

import pytest

from uniperceiver.config import FoldConfig, ImageListConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError


@pytest.fixture
def classes(tmp_path: Path) -> str:
    (tmp_path / "classes.txt").write_text("cat\ngreat white shark\ndog\n")
    return str(tmp_path / "classes.txt")


def test_lines_of_a_path_and_a_class(image_folder: Path, tmp_path: Path, classes: str) -> None:
    (image_folder / "cat" / "0.png").rename(image_folder / "a b.png")
    (tmp_path / "val.txt").write_text("dog/0.png 2\na b.png 0\n\ncat/1.png 0\n")
    config = ImageListConfig(str(tmp_path / "val.txt"), str(image_folder), classes)
    dataset = open_dataset(config)
    assert dataset.names == ("cat", "great white shark", "dog")
    records = [dataset[index] for index in range(len(dataset))]
    assert [(r.image_id, r.label) for r in records] == [("dog/0.png", 2), ("a b.png", 0), ("cat/1.png", 0)]
    assert tuple(records[0].image.shape) == (3, 16, 24)
    held_out = ImageListConfig(config.path, config.images, classes, fold=FoldConfig(folds=2, held_out=True))
    assert [open_dataset(held_out)[index].label for index in range(2)] == [2, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat/1.png", r"line 1: expected a path and a class number, got 'cat/1\.png'"),
        ("cat/1.png cat", "line 1: expected a path and a class number"),
        ("cat/1.png " + 5000 * "1", "line 1: expected a path and a class number"),
        ("cat/1.png 3", "line 1 has class 3, but there are 3 class names"),
        ("cat/99.png 0", r"line 1 needs the picture .*99\.png"),
        ("", "lists no picture"),
    ],
)
def test_what_cannot_be_used_is_named(
    image_folder: Path, tmp_path: Path, classes: str, line: str, message: str
) -> None:
    (tmp_path / "val.txt").write_text(line)
    with pytest.raises(DatasetError, match=message):
        open_dataset(ImageListConfig(str(tmp_path / "val.txt"), str(image_folder), classes))
