"""Whatever is handed over as a picture becomes the same upright RGB pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver.data.images import ImageError
from uniperceiver.predictor.pictures import listed, to_pixels, upright

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_every_form_of_a_colour_picture_is_the_same(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    opaque = np.dstack([RGB, np.full((5, 7), 255, np.uint8)])
    forms = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(RGB),
        RGB,
        RGB[:, ::-1][:, ::-1],
        RGB / 255,
        (RGB / 255).astype(np.float32),
        RGB.astype(np.uint16) * 257,
        opaque,
        torch.from_numpy(RGB).permute(2, 0, 1),
        torch.from_numpy(RGB).permute(2, 0, 1).float() / 255,
        torch.from_numpy(opaque).permute(2, 0, 1),
    ]
    for form in forms:
        pixels = to_pixels(form)
        assert pixels.dtype == torch.uint8
        np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), RGB)
    np.testing.assert_array_equal(np.asarray(upright(RGB)), RGB)


def test_grey_and_transparent_pictures() -> None:
    grey = RGB[:, :, 0]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    for form in (grey, grey[:, :, None], torch.from_numpy(grey), torch.from_numpy(grey)[None], Image.fromarray(grey)):
        np.testing.assert_array_equal(to_pixels(form).permute(1, 2, 0).numpy(), expected)
    assert (to_pixels(np.zeros((2, 2, 4), dtype=np.uint8)) == 255).all()  # nothing but white shows through
    sixteen = Image.fromarray(np.full((2, 2), 0x8001, dtype=np.uint16))
    assert (to_pixels(sixteen) == 0x80).all()
    assert (to_pixels(Image.new("CMYK", (2, 2), (0, 255, 255, 0)))[0] > 200).all()
    assert to_pixels(Image.new("1", (2, 2), 1)).unique().tolist() == [255]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 5, 7), np.uint8), r"got \(3, 5, 7\)"),
        (np.zeros((0, 7, 3), np.uint8), r"got \(0, 7, 3\)"),
        (np.zeros(7, np.uint8), r"got \(7,\)"),
        (np.zeros((2, 2, 3), np.int64), "got int64"),
        (np.full((2, 2, 3), 255.0), r"in \[0, 1\], got 255"),
        (np.full((2, 2), np.nan), r"in \[0, 1\], got nan"),
        (torch.zeros(5, 7, 3), r"\(3, H, W\)"),
        ("https://example.org/a.jpg", "download the picture first"),
        (Path("no/such.jpg"), "cannot read the picture"),
    ],
)
def test_what_is_no_picture_is_named(given: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        to_pixels(given)  # type: ignore[arg-type]


def test_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="got a int"):
        to_pixels(7)  # type: ignore[arg-type]
    Image.fromarray(RGB).save(tmp_path / "a.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with Image.open(tmp_path / "half.png") as lazy, pytest.raises(ImageError, match="cannot be decoded"):
        to_pixels(lazy)


def test_one_picture_a_list_and_a_stack() -> None:
    assert [len(listed(given)) for given in (RGB, "a.jpg", [RGB, "a.jpg"], (RGB,), np.stack([RGB, RGB]))] == [
        1,
        1,
        2,
        1,
        2,
    ]
    assert len(listed(torch.zeros(4, 3, 8, 8))) == 4
