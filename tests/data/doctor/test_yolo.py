from __future__ import annotations

import pytest

from uniperceiver.data.doctor import Kind, check_data
from uniperceiver.data.doctor.class_lists import names_of_yaml
from uniperceiver.data.doctor.diagnosis import Diagnosis

POLYGON = "0 0.1 0.1 0.5 0.1 0.5 0.5"


@pytest.fixture
def yolo(write, picture) -> None:
    write("data.yaml", "train: images/train\nnames: [cat, dog]\n")
    for number, line in enumerate(("0 0.5 0.5 0.4 0.4", "1 0.3 0.3 0.2 0.2", POLYGON)):
        picture(f"images/train/{number}.jpg", number)
        write(f"labels/train/{number}.txt", line + "\n")


CASES = [
    (Kind.VALUE_OUT_OF_RANGE, "0 0.5 0.5 1.4 0.4"),
    (Kind.VALUE_OUT_OF_RANGE, "0 120 80 40 20"),
    (Kind.CLASS_BEYOND_NAMES, "2 0.5 0.5 0.4 0.4"),
    (Kind.BAD_YOLO_LINE, "0 0.5 0.5"),
    (Kind.BAD_YOLO_LINE, "cat 0.5 0.5 0.4 0.4"),
    (Kind.BAD_YOLO_LINE, "0.5 0.5 0.5 0.4 0.4"),
    (Kind.BAD_POLYGON, "0 0.1 0.1 0.5 0.1 0.5 0.5 0.3"),
    (Kind.ZERO_AREA, "0 0.5 0.5 0 0.4"),
    (Kind.BOX_OVER_EDGE, "0 0.9 0.5 0.4 0.4"),
    (Kind.REPEATED_OBJECT, "0 0.5 0.5 0.4 0.4\n0 0.5 0.5 0.4 0.4"),
]


@pytest.mark.parametrize(("kind", "lines"), CASES)
def test_one_fault_gives_one_kind_of_finding(yolo, kinds, write, kind: Kind, lines: str) -> None:
    write("labels/train/0.txt", f"0 0.5 0.5 0.4 0.4\n{lines}\n" if lines.count("\n") == 0 else lines)
    assert kinds() == {kind}


def test_a_clean_set_gives_nothing(yolo, kinds, root) -> None:
    assert kinds() == set()
    assert not check_data(root / "data.yaml").findings


def test_pictures_without_labels_and_labels_without_pictures(yolo, kinds, write, picture, root) -> None:
    picture("images/train/9.jpg", 9)
    assert kinds() == {Kind.NO_OBJECT}
    write("labels/train/9.txt", "")
    assert kinds() == {Kind.NO_OBJECT}
    (root / "images/train/9.jpg").unlink()
    write("labels/train/9.txt", POLYGON)
    assert kinds() == {Kind.MISSING_IMAGE}


def test_labels_beside_their_pictures(kinds, write, picture) -> None:
    write("classes.txt", "cat\ndog\n")
    for number in (0, 1):
        picture(f"{number}.jpg", number)
        write(f"{number}.txt", f"{number} 0.5 0.5 0.4 0.4")
    assert kinds() == set()
    write("0.txt", "0 0.5 0.5 0.4 0.4\n5 0.5 0.5 0.4 0.4")
    assert kinds() == {Kind.CLASS_BEYOND_NAMES}


def test_a_broken_yaml(yolo, kinds, write) -> None:
    write("data.yaml", "names: [cat, dog")
    assert kinds() == {Kind.UNREADABLE_FILE}


def test_names_that_yaml_takes_for_something_else(yolo, kinds, write) -> None:
    write("data.yaml", "train: images/train\nnames: [cat, no]\n")
    assert kinds() == {Kind.BAD_ENTRY}


def test_names_that_are_numbers_stay_as_written(yolo, root) -> None:
    (root / "data.yaml").write_text("train: images/train\nnames: {0: 007, 1: 1.50}\n")
    diagnosis = Diagnosis(root)
    assert names_of_yaml(root / "data.yaml", diagnosis) == {0: "007", 1: "1.50"}
    assert not diagnosis.findings


@pytest.mark.parametrize("names", ["[cat, [dog]]", "[cat, {a: b}]", "[&a cat, *a]"])
def test_names_that_are_none_or_repeated_by_aliases(yolo, kinds, write, names: str) -> None:
    write("data.yaml", f"train: images/train\nnames: {names}\n")
    assert Kind.BAD_ENTRY in kinds()


def test_endless_aliases_are_not_written_out(yolo, kinds, write) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    write("data.yaml", f"l0: &l0 [x]\n{levels}train: images/train\nnames: [cat, *l29]\n")
    assert kinds() == {Kind.BAD_ENTRY}
