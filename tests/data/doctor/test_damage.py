"""Whatever is damaged, the doctor goes on: random values in random places of every JSON format."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from typing import Any

import pytest

from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.data.doctor import check_data

JUNK: list[Any] = [None, [], {}, "", "x", -1, 0, 1e308, float("nan"), True, [None], {"a": 1}, 10**30, [[1]]]
INSTANCES = {
    "images": [{"id": 1, "file_name": "1.jpg", "height": 16, "width": 24}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [2, 3, 10, 8],
            "area": 80,
            "iscrowd": 0,
            "segmentation": mask,
        }
        for mask in ([[2, 3, 12, 3, 12, 11, 2, 11]], {"size": [16, 24], "counts": [16, 32, 336]})
    ],
}
FILES: dict[str, Any] = {
    "instances.json": INSTANCES,
    "dataset.json": {
        "images": [{"filename": "1.jpg", "filepath": "images", "split": "train", "sentences": [{"raw": "a cat"}]}]
    },
    "captions.json": {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}],
    },
    "questions.json": {"questions": [{"question_id": 1, "image_id": 1, "question": "why?"}]},
    "answers.json": {"annotations": [{"question_id": 1, "answers": [{"answer": "because"}]}]},
    "pairs.json": [{"image": "1.jpg", "caption": "a cat"}, {"image": "2.jpg", "caption": ["a dog"]}],
}


def damaged(content: Any, seed: int) -> Any:
    content = copy.deepcopy(content)
    choice = random.Random(seed)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, one in list(inside):
            places.append((value, key))
            walk(one)

    walk(content)
    parent, key = choice.choice(places)
    if choice.random() < 0.2:
        del parent[key]
    else:
        parent[key] = copy.deepcopy(choice.choice(JUNK))
    return content


@pytest.mark.parametrize("name", FILES)
def test_damaged_json_is_survived(write, picture, root, name: str) -> None:
    picture("images/1.jpg")
    for seed in range(60):
        for file, content in FILES.items():
            if file == name or {file, name} == {"questions.json", "answers.json"}:
                write(file, damaged(content, seed) if file == name else content)
        # An error of its own it raises where nothing is left by which to know the format.
        with contextlib.suppress(DatasetError):
            assert json.dumps(check_data(root).to_json())
