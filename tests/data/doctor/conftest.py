"""Clean data sets of every format, which tests then break in one place."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from uniperceiver.data.doctor import Kind, check_data

Write = Callable[..., Path]


def encoded(seed: int, format: str = "JPEG", width: int = 24, height: int = 16) -> bytes:
    """A random picture in an image format."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


@pytest.fixture
def kinds(root: Path) -> Callable[..., set[Kind]]:
    """The kinds of finding in ``root``."""

    def look(**options: Any) -> set[Kind]:
        return {finding.kind for finding in check_data(root, **options).findings}

    return look


@pytest.fixture
def write(root: Path) -> Write:
    """Writes bytes, text or JSON below ``root``."""

    def write(name: str, content: Any) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def picture(write: Write) -> Write:
    """Writes a random JPEG of 24 x 16 pixels below ``root``; another seed gives another one."""
    return lambda name, seed=0: write(name, encoded(seed))


def instances() -> dict[str, Any]:
    """Three images, two classes, polygons and run lengths; nothing is wrong."""
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 16, "width": 24} for i in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": 10 + i,
                "image_id": i,
                "category_id": 1 + i % 2,
                "bbox": [2, 3, 10, 8],
                "area": 80,
                "iscrowd": 0,
                "segmentation": [[2, 3, 12, 3, 12, 11, 2, 11]],
            }
            for i in (1, 2)
        ]
        + [
            {
                "id": 13,
                "image_id": 3,
                "category_id": 2,
                "bbox": [1, 0, 2, 16],
                "area": 32,
                "iscrowd": 0,
                "segmentation": {"size": [16, 24], "counts": [16, 32, 336]},
            }
        ],
    }


@pytest.fixture
def coco(write: Write, picture: Write) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    """Writes `instances`, changed by a function, with its pictures."""

    def make(change: Callable[[dict[str, Any]], object] = lambda content: None) -> None:
        content = instances()
        change(content)
        write("annotations/instances_train.json", content)
        for number in (1, 2, 3):
            picture(f"images/{number}.jpg", number)

    return make


@pytest.fixture
def shard(write: Write) -> Callable[[str, dict[str, bytes]], Path]:
    """Writes a tar shard of the members given."""

    def make(name: str, members: dict[str, bytes]) -> Path:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            for member, content in members.items():
                header = tarfile.TarInfo(member)
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
        return write(name, file.getvalue())

    return make


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    return encoded
