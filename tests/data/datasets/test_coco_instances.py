from __future__ import annotations

import builtins
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from uniperceiver.config import CocoInstancesConfig, FoldConfig, ImageSizeConfig
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.datasets.coco_instances import CocoInstances
from uniperceiver.data.transforms import train_transform

HEIGHT, WIDTH = 16, 24
SQUARE = [[4, 2, 10, 2, 10, 8, 4, 8]]


def annotation(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": 5,
        "category_id": 18,
        "bbox": [4, 2, 6, 6],
        "area": 35.5,
        "iscrowd": 0,
        "segmentation": SQUARE,
    } | changes


@pytest.fixture
def make(write_picture: Callable[..., Path], write_json: Callable[[str, Any], str], tmp_path: Path) -> Any:
    for name in ("five.png", "three.png", "nine.png"):
        write_picture(f"images/{name}", WIDTH, HEIGHT)

    def build(*annotations: dict[str, Any], fold: FoldConfig | None = None, **size: Any) -> CocoInstances:
        images = [
            {"id": number, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH} | size
            for number, name in ((5, "five"), (3, "three"), (9, "nine"))
        ]
        categories = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = write_json("instances.json", content)
        return CocoInstances(CocoInstancesConfig(path, str(tmp_path / "images"), fold=fold))

    return build


def square_mask() -> torch.Tensor:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[2:8, 4:10] = True
    return mask


def test_polygons_boxes_and_labels(make: Any) -> None:
    dataset = make(annotation(1), annotation(2, category_id=3))
    record = dataset[0]
    assert dataset.names == ("car", "dog")
    assert (record.image_id, record.original_size) == ("5", (HEIGHT, WIDTH))
    assert record.labels.tolist() == [1, 0]
    assert record.boxes.tolist() == [[4, 2, 10, 8]] * 2
    assert torch.equal(record.masks, square_mask().expand(2, -1, -1))
    assert record.is_crowd.tolist() == [False, False]


def test_several_polygons_are_one_object(make: Any) -> None:
    two = [*SQUARE, [14, 2, 16, 2, 16, 4, 14, 4]]
    mask = make(annotation(segmentation=two, bbox=[4, 2, 12, 6]))[0].masks[0]
    assert mask.sum() == 36 + 4


@pytest.mark.parametrize("segmentation", [[], None, {}])
def test_objects_with_boxes_alone_have_no_mask(make: Any, segmentation: Any) -> None:
    bare = annotation(3)
    del bare["segmentation"]
    dataset = make(annotation(1), annotation(2, segmentation=segmentation), bare)
    record = dataset[0]
    assert record.has_mask.tolist() == [True, False, False]
    assert torch.equal(record.masks, square_mask().expand(3, -1, -1))
    assert [mask is None for mask in dataset.reference(record).masks] == [False, True, True]
    cropped = train_transform("detection", ImageSizeConfig(train=WIDTH, scale=(1.0, 1.0), flip=False))(record)
    assert cropped.has_mask.tolist() == [True, False, False]
    assert torch.equal(cropped.boxes[0], cropped.boxes[1])


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths_of_a_crowd(make: Any, compressed: bool) -> None:
    mask = square_mask().numpy()
    if compressed:
        encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        counts: Any = encoded["counts"].decode()
    else:
        flat = mask.flatten(order="F").astype(int)
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *edges, flat.size]).tolist()
    record = make(annotation(iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": counts}))[0]
    assert record.is_crowd.tolist() == [True]
    assert torch.equal(record.masks[0], square_mask())


def test_a_picture_without_objects_is_kept(make: Any) -> None:
    dataset = make(annotation())
    assert len(dataset) == 3
    record = dataset[1]
    assert (record.image_id, tuple(record.boxes.shape), tuple(record.masks.shape)) == ("3", (0, 4), (0, HEIGHT, WIDTH))
    assert record.labels.dtype == torch.int64


def test_the_reference_has_annotated_areas_in_original_pixels(make: Any) -> None:
    dataset = pickle.loads(pickle.dumps(make(annotation(area=12.25), annotation(2, iscrowd=1))))
    reference = dataset.reference(dataset[0])
    assert (reference.image_id, reference.size) == ("5", (HEIGHT, WIDTH))
    assert reference.areas.tolist() == [12.25, 35.5]
    assert reference.is_crowd.tolist() == [False, True]
    assert reference.boxes.tolist() == [[4, 2, 10, 8]] * 2
    assert coco_mask.area(reference.masks).tolist() == [36, 36]
    assert dataset.reference(dataset[2]).boxes.shape == (0, 4)


def test_boxes_are_clipped_to_the_picture(make: Any) -> None:
    record = make(annotation(bbox=[-0.5, 10, 8, 6.4]))[0]
    assert record.boxes.tolist() == [[0, 10, 7.5, HEIGHT]]


def test_boxes_without_extent_are_named_and_kept_but_not_trained_on(make: Any) -> None:
    line = [[4.2, 2.3, 4.2, 2.3, 5.2, 2.3, 5.2, 2.3]]  # the shape of annotation 918 of COCO train2017
    with pytest.warns(UserWarning, match=r"instances\.json: 1 annotations have a box without width or height.*\[918\]"):
        dataset = make(annotation(1), annotation(918, bbox=[4.2, 2.3, 1, 0], segmentation=line, area=0))
    assert len(dataset[0].boxes) == 2
    trained = train_transform("detection", ImageSizeConfig(train=WIDTH, scale=(1.0, 1.0)))(dataset[0])
    assert len(trained.boxes) == 1


def test_folds(make: Any) -> None:
    held_out = make(annotation(), fold=FoldConfig(folds=3, held_out=True))
    rest = make(annotation(), fold=FoldConfig(folds=3, held_out=False))
    assert [held_out[i].image_id for i in range(len(held_out))] == ["5"]
    assert [rest[i].image_id for i in range(len(rest))] == ["3", "9"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 4}, "category 4, which the file's categories lack"),
        ({"image_id": 4}, "image 4, which the file's images lack"),
        ({"image_id": [5]}, "expected a number"),
        ({"category_id": None}, "expected a number"),
        ({"bbox": [1, 1, -3, 4]}, "expected x, y, width, height"),
        ({"bbox": [1, 1, float("nan"), 4]}, "expected x, y, width, height"),
        ({"bbox": [1, 1, "2", 4]}, "expected x, y, width, height"),
        ({"bbox": None}, "expected x, y, width, height"),
        ({"bbox": [23, 0, 10, 10]}, "mostly outside its picture of 24x16"),
        ({"segmentation": "polygon"}, "no mask that can be read"),
        ({"segmentation": {"counts": [384]}}, "no mask that can be read"),
        ({"segmentation": [[1, 2, 3, 4]]}, "at least three points"),
        ({"segmentation": [[1, 2, 3, 4, None, 6]]}, "at least three points"),
        ({"segmentation": [[1, 2, 3, 4, 1e12, 6]]}, "far outside its picture of 24x16"),
        ({"area": None}, "the area 'None': expected a number"),
        ({"segmentation": {"size": [WIDTH, HEIGHT], "counts": [384]}}, "a mask of size"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [3]}}, "do not add up"),
    ],
)
def test_bad_annotations_are_named(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=rf"instances\.json: annotation 77 .*{message}"):
        make(annotation(77, **changes))


def test_a_missing_field_picture_or_id_is_named(make: Any, tmp_path: Path) -> None:
    incomplete = annotation(77)
    del incomplete["area"]
    with pytest.raises(DatasetError, match="annotation 77 has no area"):
        make(incomplete)
    with pytest.raises(DatasetError, match="two images have the id 1"):
        make(id=1)
    (tmp_path / "images" / "nine.png").unlink()
    with pytest.raises(DatasetError, match=r"image 9 needs the picture .*nine\.png"):
        make()


@pytest.mark.parametrize(
    "changes", [{"height": None}, {"width": "24"}, {"height": 0}, {"file_name": 7}, {"id": None}, {"id": [1]}]
)
def test_a_picture_of_odd_fields_is_named(make: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match=r"images\[0\] has the .*: expected"):
        make(**changes)


def test_a_picture_of_another_size_is_named(make: Any) -> None:
    dataset = make(height=WIDTH, width=HEIGHT)
    with pytest.raises(DatasetError, match=r"five\.png \(image 5\) has height 24 and width 16, but upright it has 16"):
        dataset[0]


def test_without_pycocotools_the_error_says_what_to_install(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_pycocotools(name: str, *args: Any) -> Any:
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real_import(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_pycocotools)
    with pytest.raises(ImportError, match=r"pip install 'uniperceiver\[coco\]'"):
        make(annotation())


def test_objects_are_relative_and_without_crowds(make: Any) -> None:
    crowd = annotation(2, iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]})
    boxes, labels = zip(*make(annotation(1), crowd).objects(), strict=True)
    assert [len(part) for part in boxes] == [1, 0, 0]
    np.testing.assert_allclose(boxes[0][0], [4 / WIDTH, 2 / HEIGHT, 10 / WIDTH, 8 / HEIGHT])
    assert labels[0].tolist() == [1]
