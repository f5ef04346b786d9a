from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uniperceiver.data.doctor import Kind, check_data

Lists = Callable[[str], None]


@pytest.fixture
def lists(write, picture) -> Lists:
    """ImageNet's layout with two classes; the lines of ``meta/train.txt`` are given."""

    def make(lines: str) -> None:
        for index in range(4):
            picture(f"train/n{index % 2}/{index}.jpg", index)
            picture(f"val/{index}.jpg", 10 + index)
        write("meta/train.txt", lines)
        write("meta/val.txt", "0.jpg 0\n1.jpg 1\n2.jpg 0\n3.jpg 1\n")
        write("classes.txt", "cat\ngreat white shark\n")

    return make


CLEAN = "n0/0.jpg 0\nn1/1.jpg 1\n\nn0/2.jpg 0\nn1/3.jpg 1\n"


def test_clean_lists_have_no_finding(lists: Lists, root: Path) -> None:
    lists(CLEAN)
    diagnosis = check_data(root)
    assert not diagnosis.findings
    assert diagnosis.looked_at == [
        "image list, train: 4 records in meta/train.txt",
        "image list, val: 4 records in meta/val.txt",
    ]
    assert not check_data(root / "meta" / "train.txt").findings


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (CLEAN + "n1/3.jpg 2", Kind.CLASS_BEYOND_NAMES),
        (CLEAN + "n1/9.jpg 1", Kind.MISSING_IMAGE),
        (CLEAN + 5 * "n1/3.jpg 1\n" + "n1/3.jpg shark", Kind.BAD_ENTRY),
        ("n0/0.jpg 0\nn1/1.jpg 1\nn0/2.jpg 0\n", Kind.UNUSED_IMAGE),
    ],
)
def test_what_is_wrong_is_found(lists: Lists, kinds: Callable[..., set[Kind]], lines: str, expected: Kind) -> None:
    lists(lines)
    assert kinds() == {expected}
