from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uniperceiver.data.scenes.cutouts import make_cutout, open_cutouts
from uniperceiver.data.scenes.shapes import drawn_shapes
from uniperceiver.data.scenes.sources import CutoutError, NamedPicture


def test_shapes_know_their_colour_and_come_in_several_variants() -> None:
    cutouts = open_cutouts("shapes", 128)
    assert len({cutout.name for cutout in cutouts}) == 12
    assert all(cutout.colour in cutout.instance for cutout in cutouts)
    assert len({cutout.instance for cutout in cutouts}) == len(cutouts)
    assert [(c.name, c.instance) for c in cutouts] == sorted((c.name, c.instance) for c in cutouts)


def test_a_cutout_is_cropped_shrunk_and_outlined(write_cutout) -> None:
    path = write_cutout("disc.png", width=300, height=200)
    with Image.open(path) as picture:
        cutout = make_cutout(NamedPicture("disc", "disc.png", picture), 128)
    assert cutout.levels[0].size == (128, 85)
    assert [level.mode for level in cutout.levels] == ["RGBa"] * len(cutout.levels)
    assert cutout.outline.side == 128
    assert cutout.outline.area == pytest.approx(np.pi / 4 * 128 * 85, rel=0.02)
    np.testing.assert_allclose(cutout.outline.hull.min(axis=0), [-64, -42.5], atol=1)
    np.testing.assert_allclose(cutout.outline.hull.max(axis=0), [64, 42.5], atol=1)


def test_no_shape_is_cut_off_by_its_picture() -> None:
    for shape in drawn_shapes():
        alpha = np.asarray(shape.picture.getchannel("A"))
        assert not any(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])), shape.instance


def test_names_come_from_files_and_folders(write_cutout, tmp_path: Path) -> None:
    for name in ("green_apple_1.png", "green_apple_2.png", "Owl.png", "tea cup/a.png", "tea cup/old/b.webp"):
        write_cutout(name)
    write_cutout("readme.txt.png").rename(tmp_path / "cutouts" / "readme.txt")
    cutouts = open_cutouts(str(tmp_path / "cutouts"), 128)
    assert [cutout.name for cutout in cutouts] == ["green apple", "green apple", "owl", "tea cup", "tea cup"]
    assert cutouts[-1].instance == "tea cup/old/b.webp"
    assert {cutout.colour for cutout in cutouts} == {None}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("ok.png", 60), ("dot.png", 8)], "dot.png shows 8x8 pixels; at least 16"),
        ([("nothing.png", 0)], "nothing.png is fully transparent"),
        ([("dog_1.png", 60), ("Dog_2.png", 60)], "spells 'dog' as 'Dog' and as 'dog'"),
        ([("tea cup/a.png", 60), ("tea_cup_1.png", 60)], "spells 'tea cup'"),
        ([("_1.png", 60)], "has no name besides its number"),
    ],
)
def test_cutouts_that_cannot_be_used(files, message: str, write_cutout, tmp_path: Path) -> None:
    for name, side in files:
        write_cutout(name, side, side)
    with pytest.raises(CutoutError, match=message):
        open_cutouts(str(tmp_path / "cutouts"), 128)


def test_pictures_without_transparency_or_content(tmp_path: Path) -> None:
    folder = tmp_path / "opaque"
    folder.mkdir()
    with pytest.raises(CutoutError, match="no transparent picture in"):
        open_cutouts(str(folder), 128)
    Image.new("RGB", (40, 40)).save(folder / "photo.png")
    with pytest.raises(CutoutError, match=r"photo.png has no transparency \(mode RGB\)"):
        open_cutouts(str(folder), 128)
    Image.new("RGBA", (40, 40), "red").save(folder / "photo.png")
    with pytest.raises(CutoutError, match=r"photo.png is opaque everywhere"):
        open_cutouts(str(folder), 128)
    (folder / "photo.png").write_text("no picture")
    with pytest.raises(CutoutError, match=r"photo.png is not a picture"):
        open_cutouts(str(folder), 128)
    with pytest.raises(CutoutError, match="give shapes, openmoji, tuxpaint or a folder"):
        open_cutouts(str(folder / "missing"), 128)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, write_cutout, tmp_path: Path) -> None:
    write_cutout("one.png")
    monkeypatch.setattr("uniperceiver.data.scenes.cutouts.MAX_BYTES", 1000)
    with pytest.raises(CutoutError, match="use fewer"):
        open_cutouts(str(tmp_path / "cutouts"), 128)
