"""Tiny data sets written to a temporary folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WritePicture = Callable[..., Path]


@pytest.fixture
def write_picture(tmp_path: Path) -> WritePicture:
    """Writes a random RGB picture of the given width and height below ``tmp_path``."""

    def write(name: str, width: int = 24, height: int = 16, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_json(tmp_path: Path) -> Callable[[str, Any], str]:
    """Writes JSON below ``tmp_path`` and returns its path."""

    def write(name: str, content: Any) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def image_folder(tmp_path: Path, write_picture: WritePicture) -> Path:
    """Ten pictures in two class folders: cat 0–5, dog 0–3."""
    for folder, count in (("cat", 6), ("dog", 4)):
        for number in range(count):
            write_picture(f"classes/{folder}/{number}.png", seed=10 * count + number)
    return tmp_path / "classes"
