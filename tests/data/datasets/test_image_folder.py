from __future__ import annotations

from pathlib import Path

import pytest

from uniperceiver.config import FoldConfig, ImageFolderConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.image_folder import ImageFolder


def test_classes_are_the_sorted_folders(image_folder: Path) -> None:
    (image_folder / "cat" / "notes.txt").write_text("not a picture")
    (image_folder / ".ipynb_checkpoints").mkdir()
    dataset = ImageFolder(ImageFolderConfig(str(image_folder)))
    assert dataset.names == ("cat", "dog")
    assert [dataset[i].label for i in range(len(dataset))] == [0] * 6 + [1] * 4
    assert dataset[6].image_id == "dog/0.png"
    assert tuple(dataset[6].image.shape) == (3, 16, 24)


def test_a_csv_gives_names_and_order(image_folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text('folder,name\ndog,"dog, domestic"\nemu,emu\ncat,tabby\n')
    dataset = ImageFolder(ImageFolderConfig(str(image_folder), names=str(names)))
    assert dataset.names == ("dog, domestic", "emu", "tabby")
    assert [dataset[i].label for i in range(len(dataset))] == [0] * 4 + [2] * 6


def test_synonyms_follow_the_name(image_folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text('wnid,name,synonym\ndog,dog,"domestic dog",Canis familiaris\ncat,cat,,\n')
    dataset = ImageFolder(ImageFolderConfig(str(image_folder), names=str(names)))
    assert dataset.names == ("dog", "cat")
    assert dataset.synonyms == (("domestic dog", "Canis familiaris"), ())
    assert ImageFolder(ImageFolderConfig(str(image_folder))).synonyms == ((), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("folder,name\ncat,a,b\n", r"line 2: .* got 'cat,a,b'; synonyms are for a header of three columns"),
        ("folder,name,synonym\ncat,,a\n", r"line 2: expected folder,name"),
        ("folder,name\n\n", r"line 2: expected folder,name"),
        ("folder,name\ncat,cat\n", r"no name for the class folders \['dog'\]"),
        ("folder,name\ncat\n", r"names\.csv, line 2: expected folder,name"),
        ("folder,name\ncat,a\ncat,b\n", r"line 3: the folder 'cat' is named twice"),
    ],
)
def test_a_bad_csv_is_named(image_folder: Path, tmp_path: Path, content: str, message: str) -> None:
    names = tmp_path / "names.csv"
    names.write_text(content)
    with pytest.raises(DatasetError, match=message):
        ImageFolder(ImageFolderConfig(str(image_folder), names=str(names)))


def test_folds_are_disjoint_and_complete(image_folder: Path) -> None:
    def ids(held_out: bool) -> set[str]:
        dataset = ImageFolder(ImageFolderConfig(str(image_folder), fold=FoldConfig(folds=5, held_out=held_out)))
        assert dataset.names == ("cat", "dog")
        return {dataset[i].image_id for i in range(len(dataset))}

    assert ids(True) == {"cat/0.png", "cat/5.png"}
    assert len(ids(True) | ids(False)) == 10


def test_no_folder_and_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        ImageFolder(ImageFolderConfig(str(tmp_path / "gone")))
    with pytest.raises(DatasetError, match="no picture"):
        ImageFolder(ImageFolderConfig(str(tmp_path)))
    with pytest.raises(DatasetError, match=r"cannot read the class names .*gone\.csv"):
        ImageFolder(ImageFolderConfig(str(tmp_path), names=str(tmp_path / "gone.csv")))
