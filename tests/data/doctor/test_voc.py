from __future__ import annotations

import pytest

from uniperceiver.data.doctor import Kind


def xml(name: str = "cat", box: tuple[float, ...] = (2, 3, 12, 11), file: str = "1.jpg", width: int = 24) -> str:
    corners = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=False)
    )
    size = f"<size><width>{width}</width><height>16</height><depth>3</depth></size>"
    thing = f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>" if name else ""
    return f"<annotation><filename>{file}</filename>{size}{thing}</annotation>"


@pytest.fixture
def voc(write, picture) -> None:
    for number in (1, 2):
        picture(f"JPEGImages/{number}.jpg", number)
        write(f"Annotations/{number}.xml", xml(file=f"{number}.jpg"))


CASES = [
    (Kind.UNREADABLE_FILE, "<annotation><object>"),
    (Kind.BAD_ENTRY, xml(file="")),
    (Kind.MISSING_IMAGE, xml(file="7.jpg")),
    (Kind.NO_OBJECT, xml(name="")),
    (Kind.BAD_BOX, xml(box=(2, 3, 12))),
    (Kind.BAD_BOX, xml(box=(12, 3, 2, 11))),
    (Kind.ZERO_AREA, xml(box=(2, 3, 2, 11))),
    (Kind.BOX_OVER_EDGE, xml(box=(2, 3, 28, 11))),
    (Kind.BOX_OUTSIDE, xml(box=(20, 3, 40, 11))),
    (Kind.SIZE_MISMATCH, xml(width=25)),
]


@pytest.mark.parametrize(("kind", "content"), CASES)
def test_one_fault_gives_one_kind_of_finding(voc, kinds, write, kind: Kind, content: str) -> None:
    write("Annotations/1.xml", content)
    assert kinds() == {kind}


def test_a_clean_set_gives_nothing(voc, kinds) -> None:
    assert kinds() == set()


def test_a_name_that_the_list_lacks(voc, kinds, write) -> None:
    write("labels.txt", "cat\n")
    assert kinds() == set()
    write("Annotations/1.xml", xml(name="kat"))
    assert kinds() == {Kind.UNKNOWN_NAME}


def test_image_sets_give_the_splits(voc, kinds, write, picture) -> None:
    write("ImageSets/Main/train.txt", "1\n")
    write("ImageSets/Main/val.txt", "2\n")
    assert kinds() == set()
    picture("JPEGImages/2.jpg", 1)
    assert kinds() == {Kind.LEAKAGE}
