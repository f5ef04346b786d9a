from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uniperceiver.data.doctor import Kind


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def noise(width: int = 24, height: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8))


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(noise(), "JPEG", exif=exif)


def deep() -> bytes:
    return saved(Image.fromarray(np.full((16, 24), 40_000, dtype=np.uint16)), "PNG")


CASES: list[tuple[Kind, str, Callable[[], bytes]]] = [
    (Kind.UNREADABLE_IMAGE, "a.jpg", lambda: b"no picture"),
    (Kind.UNREADABLE_IMAGE, "a.jpg", lambda: b""),
    (Kind.TRUNCATED_IMAGE, "a.jpg", lambda: saved(noise(200, 200), "JPEG")[:9000]),
    (Kind.TRUNCATED_IMAGE, "a.png", lambda: saved(noise(200, 200), "PNG")[:9000]),
    (Kind.TRUNCATED_IMAGE, "a.bmp", lambda: saved(noise(), "BMP")[:-90]),
    (Kind.EXIF_ROTATION, "a.jpg", lambda: rotated(6)),
    (Kind.CMYK_IMAGE, "a.jpg", lambda: saved(noise().convert("CMYK"), "JPEG")),
    (Kind.DEEP_IMAGE, "a.png", deep),
    (Kind.FLOAT_IMAGE, "a.tiff", lambda: saved(Image.fromarray(np.zeros((16, 24), dtype=np.float32)), "TIFF")),
    (Kind.PALETTE_IMAGE, "a.png", lambda: saved(noise().quantize(16), "PNG")),
    (Kind.TRANSPARENT_IMAGE, "a.png", lambda: saved(noise().convert("RGBA"), "PNG")),
    (Kind.HUGE_IMAGE, "a.png", lambda: saved(Image.new("1", (10_000, 9_000)), "PNG")),
    (Kind.HUGE_IMAGE, "a.png", lambda: saved(Image.new("1", (20_000, 9_000)), "PNG")),
    (Kind.TINY_IMAGE, "a.jpg", lambda: saved(noise(15, 40), "JPEG")),
    (Kind.LONG_IMAGE, "a.jpg", lambda: saved(noise(17, 200), "JPEG")),
    (Kind.WRONG_EXTENSION, "a.jpg", lambda: saved(noise(), "PNG")),
    (
        Kind.ANIMATED_IMAGE,
        "a.webp",
        lambda: saved(noise(), "WEBP", save_all=True, append_images=[Image.new("RGB", (24, 16))]),
    ),
]


@pytest.fixture
def folder(picture) -> None:
    for number, name in enumerate(("cat/1.jpg", "cat/2.jpg", "dog/1.jpg")):
        picture(name, number)


@pytest.mark.parametrize(
    ("kind", "name", "content"), CASES, ids=lambda value: value.name if isinstance(value, Kind) else ""
)
def test_one_fault_gives_one_kind_of_finding(folder, kinds, write, kind: Kind, name: str, content) -> None:
    write(f"cat/{name}", content())
    assert kinds() == {kind}


def test_a_clean_folder_gives_nothing(folder, kinds) -> None:
    assert kinds() == kinds(decode=True) == set()


def test_damage_inside_a_file_shows_when_all_is_decoded(folder, kinds, write) -> None:
    content = bytearray(saved(noise(200, 200), "PNG"))
    content[5000:5100] = bytes(100)
    write("cat/a.png", bytes(content))
    assert kinds() == set()
    assert kinds(decode=True) == {Kind.TRUNCATED_IMAGE}


def test_a_size_that_fits_before_turning_says_so(coco, root: Path, write) -> None:
    from uniperceiver.data.doctor import check_data

    coco()
    write("images/1.jpg", rotated(6))
    (finding,) = check_data(root).findings
    assert finding.kind is Kind.SIZE_MISMATCH
    assert "unturned it fits" in finding.examples[0]


def test_the_same_content_twice(folder, kinds, picture) -> None:
    picture("dog/copy.jpg", 2)
    assert kinds() == {Kind.DUPLICATE_IMAGE}


def test_leakage_between_splits_is_found_by_content(kinds, picture) -> None:
    for number, name in enumerate(("train/cat/1", "train/dog/1", "val/cat/a", "val/dog/a")):
        picture(f"{name}.jpg", number)
    assert kinds() == set()
    picture("val/cat/other_name.jpg", 0)
    assert kinds() == {Kind.LEAKAGE}


def test_an_empty_class_folder(folder, kinds, root: Path) -> None:
    (root / "emu").mkdir()
    assert kinds() == {Kind.EMPTY_CLASS}


def test_splits_with_different_class_folders_number_them_differently(kinds, picture) -> None:
    for number, name in enumerate(("train/cat/1", "train/dog/1", "val/dog/a")):
        picture(f"{name}.jpg", number)
    assert kinds() == {Kind.CATEGORY_CONFLICT}
