"""Scenes of drawn shapes, and folders of cut-outs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.scene_source import SceneSource

WriteCutout = Callable[..., Path]


@pytest.fixture(scope="module")
def source() -> SceneSource:
    return SceneSource(ScenesConfig(view="objects", split="train", images=150, size=128))


@pytest.fixture
def write_cutout(tmp_path: Path) -> WriteCutout:
    """Writes a transparent picture with a filled ellipse of the given size in its middle."""

    def write(name: str, width: int = 60, height: int = 40, colour: str = "brown") -> Path:
        path = tmp_path / "cutouts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGBA", (width + 20, height + 20))
        if width:
            ImageDraw.Draw(picture).ellipse([10, 10, 9 + width, 9 + height], fill=colour)
        picture.save(path)
        return path

    return write
