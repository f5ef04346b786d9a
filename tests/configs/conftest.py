"""Models and pictures that recipes are tried with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from uniperceiver.config import ModelConfig


@pytest.fixture
def tiny_model(tiny_v1_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path) -> Path:
    """A v1 of two layers for pictures of 32 pixels."""
    return Path(write_model(tiny_v1_config, tmp_path))


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Two classes, three pictures of each to train on."""
    root = tmp_path / "imagenet"
    for part, number in (("train", 3), ("val", 1)):
        for place, folder in enumerate(("n01440764", "n01443537")):
            for index in range(number):
                path = root / part / folder / f"{index}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (50, 40), (200 * place, 40 * index, 90)).save(path)
    (root / "classes.csv").write_text("wnid,name\nn01440764,red car\nn01443537,blue ball\n")
    return root
