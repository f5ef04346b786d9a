from __future__ import annotations

from pathlib import Path

import pytest

from uniperceiver.config import FoldConfig
from uniperceiver.data.datasets.annotation_files import (
    DatasetError,
    existing_picture,
    is_in_fold,
    read_json_object,
    require_fields,
)


def test_folds_part_the_records() -> None:
    held_out = [i for i in range(20) if is_in_fold(i, FoldConfig(folds=5, held_out=True))]
    rest = [i for i in range(20) if is_in_fold(i, FoldConfig(folds=5, held_out=False))]
    assert held_out == [0, 5, 10, 15]
    assert sorted(held_out + rest) == list(range(20))
    assert all(is_in_fold(i, None) for i in range(20))


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not valid JSON"), ("[]", "a list 'images'"), ('{"images": {}}', "a list 'images'")]
)
def test_another_format_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=rf"some\.json.*{message}"):
        read_json_object(path, "images")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no annotation file .*gone\.json"):
        read_json_object(tmp_path / "gone.json")


def test_missing_fields_are_named() -> None:
    with pytest.raises(DatasetError, match=r"entry 3 has no b, c"):
        require_fields({"a": 1}, "entry 3", "a", "b", "c")


def test_a_missing_picture_is_named_with_who_wants_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"image 7 needs the picture .*7\.jpg"):
        existing_picture(tmp_path / "7.jpg", "image 7")
