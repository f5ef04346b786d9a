from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uniperceiver.config import ScenesConfig
from uniperceiver.data.scenes.photographs import SHORTER_SIDE, cut_background, open_photographs
from uniperceiver.data.scenes.scene_source import SceneSource
from uniperceiver.data.scenes.sources import CutoutError

CONFIG = ScenesConfig(view="objects", split="train", images=40, size=96)


def photograph(path: Path, size: tuple[int, int] = (120, 80)) -> Path:
    """Left black, right white, all red beside."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[:, size[0] // 2 :] = 255
    pixels[..., 0] = 200
    Image.fromarray(pixels).save(path)
    return path


def test_files_and_folders_are_opened_and_shrunk(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    photograph(folder / "b.png", (SHORTER_SIDE * 4, SHORTER_SIDE * 2))
    photograph(folder / "a.jpg")
    (folder / "notes.txt").write_text("no picture")
    one = photograph(tmp_path / "one.png")
    opened = open_photographs((str(one), str(folder)))
    assert [picture.size for picture in opened] == [(120, 80), (120, 80), (SHORTER_SIDE * 2, SHORTER_SIDE)]


def test_what_is_no_background(tmp_path: Path) -> None:
    with pytest.raises(CutoutError, match="no background"):
        open_photographs((str(tmp_path / "missing"),))
    with pytest.raises(CutoutError, match="no picture"):
        open_photographs((str(tmp_path),))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(CutoutError, match=r"text\.png"):
        open_photographs((str(tmp_path),))


def test_cuts_come_from_everywhere_and_repeat(tmp_path: Path) -> None:
    photographs = open_photographs((str(photograph(tmp_path / "one.png")),))
    cuts = [cut_background(photographs, 32, random.Random(seed)) for seed in range(20)]
    assert {cut.shape for cut in cuts} == {(32, 32, 3)}
    assert all((cut[..., 0] == 200).all() for cut in cuts)
    assert len({cut.tobytes() for cut in cuts}) > 10
    np.testing.assert_array_equal(cuts[3], cut_background(photographs, 32, random.Random(3)))


def test_scenes_on_photographs_say_no_colour_of_them(tmp_path: Path) -> None:
    plain = SceneSource(CONFIG)
    config = replace(CONFIG, backgrounds=(str(photograph(tmp_path / "one.png")),), photographed=0.5)
    source = SceneSource(config)
    layouts = [source.layout(index) for index in range(40)]
    on_photographs = [index for index, layout in enumerate(layouts) if layout.background is None]
    assert 10 < len(on_photographs) < 30
    for index in on_photographs:
        assert layouts[index].objects == plain.layout(index).objects
        said = " ".join([*source.texts(index), *(f"{q.text} {q.answer}" for q in source.questions(index))])
        assert "photograph" in said
        assert "background is" not in said.replace("the background is a photograph", "")
    first = source.paint(layouts[on_photographs[0]])
    assert (first.image[~first.masks.any(axis=0)][:, 0] == 200).mean() > 0.9
    drawn = next(index for index in range(40) if index not in on_photographs)
    np.testing.assert_array_equal(source.paint(layouts[drawn]).image, plain.paint(plain.layout(drawn)).image)
