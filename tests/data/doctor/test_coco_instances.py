from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from uniperceiver.data.doctor import Kind

Content = dict[str, Any]
COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def set_object(**fields: Any) -> Callable[[Content], None]:
    """Changes the first annotation."""
    return lambda content: content["annotations"][0].update(fields)


def add_object(**fields: Any) -> Callable[[Content], None]:
    """Adds a copy of the first annotation, changed."""
    return lambda content: content["annotations"].append(content["annotations"][0] | {"id": 99} | fields)


def all_corner_boxes(content: Content) -> None:
    for row in content["annotations"]:
        row |= {"bbox": [10, 4, 20, 14], "area": 100, "segmentation": [[10, 4, 20, 4, 20, 14, 10, 14]]}


def eighty_categories(numbers: list[int], used: int) -> Callable[[Content], None]:
    """80 classes, person first and toothbrush last; the first annotation uses an id that they lack."""

    def change(content: Content) -> None:
        names = ["person", *(f"thing {number}" for number in range(78)), "toothbrush"]
        content["categories"] = [{"id": i, "name": name} for i, name in zip(numbers, names, strict=True)]
        content["annotations"] = [
            content["annotations"][0] | {"id": 1000 + i, "category_id": i, "bbox": [2, 3, 10, 8 + 0.01 * i]}
            for i in numbers
        ] + [row | {"category_id": numbers[1]} for row in content["annotations"]]
        if used:
            content["annotations"][-1]["category_id"] = used

    return change


OFFICIAL = [number for number in range(1, 91) if number not in COCO_GAPS]

CASES = [
    (Kind.BAD_ENTRY, lambda content: content["annotations"].append({"id": 99})),
    (Kind.BAD_ENTRY, set_object(area=None)),
    (Kind.EMPTY_CLASS, lambda content: content["categories"].append({"id": 7, "name": "bird"})),
    (Kind.SIMILAR_NAMES, lambda content: content["categories"][1].update(name="Cat ")),
    (Kind.REPEATED_NAME, lambda content: content["categories"][1].update(name="cat")),
    (Kind.BLANK_NAME, lambda content: content["categories"][1].update(name=" ")),
    (Kind.REPEATED_CATEGORY_ID, lambda content: content["categories"].append({"id": 1, "name": "cat"})),
    (Kind.UNKNOWN_CATEGORY, set_object(category_id=5)),
    (Kind.CATEGORY_ID_MIX_UP, eighty_categories(OFFICIAL, 12)),
    (Kind.CONTIGUOUS_COCO_IDS, eighty_categories(list(range(1, 81)), 0)),
    (Kind.CLASS_IMBALANCE, lambda content: content["annotations"].extend(_many(content, 201))),
    (Kind.BAD_BOX, set_object(bbox=[2, 3, -10, 8])),
    (Kind.BAD_BOX, set_object(bbox=[2, 3, float("nan"), 8])),
    (Kind.ZERO_AREA, add_object(bbox=[5, 3, 0, 8], area=16, segmentation=[[4, 3, 6, 3, 6, 11, 4, 11]])),
    (Kind.BOX_OVER_EDGE, set_object(bbox=[16, 3, 11, 8], area=88, segmentation=[[16, 3, 27, 3, 27, 11, 16, 11]])),
    (Kind.BOX_OUTSIDE, set_object(bbox=[22, 3, 11, 8], area=88, segmentation=[[22, 3, 33, 3, 33, 11, 22, 11]])),
    (Kind.CORNER_BOXES, all_corner_boxes),
    (Kind.REPEATED_OBJECT_ID, lambda content: content["annotations"][1].update(id=11)),
    (Kind.REPEATED_IMAGE_ID, lambda content: content["images"].append(content["images"][0])),
    (Kind.UNKNOWN_IMAGE, add_object(image_id=77)),
    (Kind.BAD_POLYGON, set_object(segmentation=[[2, 3, 12, 3]])),
    (Kind.BAD_POLYGON, set_object(segmentation=[[2, 3, 12, 3, 12, 11, 2]])),
    (Kind.BAD_POLYGON, set_object(segmentation=[[2, 3, 12, 3, 12, 1e30]])),
    (Kind.FLAT_POLYGON, set_object(segmentation=[[2, 3, 12, 3, 7, 3]])),
    (Kind.MASK_SIZE, set_object(segmentation={"size": [24, 16], "counts": [384]})),
    (Kind.BAD_RUN_LENGTHS, set_object(segmentation={"size": [16, 24], "counts": [10, 3]})),
    (Kind.BAD_RUN_LENGTHS, set_object(segmentation={"size": [16, 24], "counts": "ab!"})),
    (Kind.NO_MASK, set_object(segmentation=[])),
    (Kind.MASK_OUTSIDE_BOX, set_object(bbox=[7, 3, 10, 8])),
    (Kind.WRONG_AREA, set_object(area=200)),
    (Kind.REPEATED_OBJECT, add_object()),
    (Kind.CROWD_ONLY, set_object(iscrowd=1)),
    (Kind.NO_OBJECT, lambda content: content["annotations"][0].update(image_id=2)),
    (Kind.SIZE_MISMATCH, lambda content: content["images"][0].update(width=30)),
    (Kind.MISSING_IMAGE, lambda content: content["images"].append(content["images"][0] | {"id": 4, "file_name": "4"})),
]


def _many(content: Content, count: int) -> list[Content]:
    """Different dogs, so that there is one cat for each hundred."""
    dog = content["annotations"][0]
    return [
        dog | {"id": 1000 + i, "bbox": [2, 3, 10, 8 + 0.001 * i], "category_id": dog["category_id"]}
        for i in range(1, count + 1)
    ]


@pytest.mark.parametrize(("kind", "change"), CASES, ids=lambda value: value.name if isinstance(value, Kind) else "")
def test_one_fault_gives_one_kind_of_finding(coco, kinds, kind: Kind, change) -> None:
    coco(change)
    found = kinds()
    if kind is Kind.MISSING_IMAGE:
        found -= {Kind.NO_OBJECT}  # the image was added without objects
    if kind is Kind.NO_OBJECT:
        found -= {Kind.REPEATED_OBJECT}
    assert found == {kind}


def test_a_clean_set_gives_nothing(coco, kinds) -> None:
    coco()
    assert kinds() == set()
    assert kinds(decode=True) == set()


def test_a_mix_up_of_contiguous_ids_is_told_from_an_unknown_category(coco, kinds) -> None:
    coco(eighty_categories(list(range(1, 81)), 90))
    assert kinds() == {Kind.CATEGORY_ID_MIX_UP, Kind.CONTIGUOUS_COCO_IDS}
    coco(eighty_categories(OFFICIAL, 95))
    assert kinds() == {Kind.UNKNOWN_CATEGORY}


def test_files_that_number_their_classes_differently(coco, kinds, write, picture) -> None:
    coco()
    picture("images/9.jpg", 9)
    row = {"id": 1, "image_id": 9, "bbox": [2, 3, 10, 8], "area": 80, "segmentation": [[2, 3, 12, 3, 12, 11, 2, 11]]}
    content = {
        "images": [{"id": 9, "file_name": "9.jpg", "height": 16, "width": 24}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [row | {"category_id": 1}],
    }
    write("annotations/instances_val.json", content)
    assert kinds() == {Kind.CATEGORY_CONFLICT}


def test_broken_json_and_an_empty_file(coco, kinds, write) -> None:
    coco()
    path = write("annotations/instances_val.json", '{"images": [')
    assert kinds() == {Kind.UNREADABLE_FILE}
    path.write_text('{"images": [], "annotations": [], "categories": []}')
    assert kinds() == {Kind.EMPTY_SPLIT}


def test_an_image_without_annotation_is_unused(coco, kinds, picture) -> None:
    coco()
    picture("images/4.jpg", 4)
    assert kinds() == {Kind.UNUSED_IMAGE}


def test_absurd_types_are_survived(coco, kinds) -> None:
    def change(content: Content) -> None:
        content["images"].append("not an object")
        content["images"].append({"id": [], "file_name": 3})
        content["categories"].append({"id": "x", "name": "odd"})
        content["annotations"] += [7, {"image_id": {}, "category_id": []}]
        content["annotations"].append(content["annotations"][0] | {"segmentation": 5, "bbox": "no", "id": 500})

    coco(change)
    assert Kind.BAD_ENTRY in kinds()
