from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver.data import images
from uniperceiver.data.images import ImageError, decode_image, read_image, to_rgb_tensor, upright_size


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_rgb_is_read_exactly(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.uint8
    assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    stored = Image.new("RGB", (4, 2), "black")
    stored.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(stored, "PNG", exif=exif), "turned")
    # Where the stored top left pixel is to be seen, as the EXIF standard defines the eight orientations.
    corner = {1: (0, 0), 2: (0, 3), 3: (1, 3), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (3, 1), 8: (3, 0)}[orientation]
    assert tuple(image.shape[1:]) == ((2, 4) if orientation <= 4 else (4, 2))
    assert [tuple(p) for p in image[0].nonzero().tolist()] == [corner]


def test_grey_becomes_three_equal_channels() -> None:
    image = decode_image(encoded(Image.new("L", (3, 2), 77), "PNG"), "grey")
    assert torch.equal(image, torch.full((3, 2, 3), 77, dtype=torch.uint8))


@pytest.mark.parametrize("value", [0, 255, 30000, 65535])
def test_16_bit_grey_keeps_its_upper_bits(value: int) -> None:
    deep = Image.fromarray(np.full((2, 3), value, dtype=np.uint16))
    assert decode_image(encoded(deep, "PNG"), "deep").unique().tolist() == [value // 256]


def test_cmyk_becomes_rgb() -> None:
    image = decode_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100), "cmyk")
    red = torch.tensor([255, 0, 0])[:, None, None]
    assert (image.int() - red).abs().max() <= 3


def test_transparency_is_laid_over_white() -> None:
    image = Image.new("RGBA", (3, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 127))
    pixels = decode_image(encoded(image, "PNG"), "transparent")[:, 0].T.tolist()
    assert pixels == [[200, 0, 0], [255, 255, 255], [128, 128, 128]]


def test_palette_with_a_transparent_colour() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decode_image(encoded(image, "PNG"), "palette")[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60]]
    pixels = decode_image(encoded(image, "PNG", transparency=0), "palette")[:, 0].T.tolist()
    assert pixels == [[255, 255, 255], [40, 50, 60]]


def test_black_and_white_and_la() -> None:
    assert decode_image(encoded(Image.new("1", (2, 2), 1), "PNG"), "bits").unique().tolist() == [255]
    assert decode_image(encoded(Image.new("LA", (2, 2), (9, 255)), "PNG"), "la").unique().tolist() == [9]


def test_one_pixel() -> None:
    assert to_rgb_tensor(Image.new("RGB", (1, 1), (1, 2, 3))).flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_picture_is_named(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="cut"):
        read_image(path)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(ImageError, match=r"page\.jpg is not a picture"):
        read_image(tmp_path / "page.jpg")
    with pytest.raises(ImageError, match="nothing"):
        decode_image(b"", "nothing")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.jpg: No such file"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="cannot read the picture"):
        read_image(tmp_path)


def test_too_many_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("L", (100, 100)), "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 9_999)
    with pytest.raises(ImageError, match="bomb: 100x100 pixels are more than the 9999 allowed"):
        decode_image(data, "bomb")


def test_a_real_decompression_bomb_is_an_image_error(tmp_path: Path) -> None:
    data = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(data) < 100_000
    with pytest.raises(ImageError, match="the picture bomb: it has more than twice the 89478485 pixels allowed"):
        decode_image(data, "bomb")
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"bomb\.png: it has more than twice"):
        upright_size(tmp_path / "bomb.png")


def test_floating_point_pixels_are_refused() -> None:
    data = encoded(Image.fromarray(np.ones((2, 2), dtype=np.float32)), "TIFF")
    with pytest.raises(ImageError, match="floating-point"):
        decode_image(data, "float.tif")


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_plain_jpeg_has_pillows_pixels(tmp_path: Path, subsampling: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=80, subsampling=subsampling)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.array(image)
    got = read_image(tmp_path / "a.jpg")
    assert np.array_equal(got.permute(1, 2, 0).numpy(), expected)
    assert got.stride(0) == 1
