"""Checks of image files: headers always, pixels where a file looks cut off or all are asked for."""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.images import MAX_PIXELS

_THREADS = 8
_TAIL = 4096
_END_MARK = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_FORMAT_OF_ENDING = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF",
    ".tiff": "TIFF",
}  # fmt: skip
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
Found = list[tuple[Kind, str]]


def check_image_files(
    files: dict[Path, tuple[int, int] | None], decode: bool, diagnosis: Diagnosis, progress: Callable[[int], None]
) -> None:
    """Look at image files, several at a time.

    Args:
        files: existing file → (height, width) as annotated, None where nobody says.
        decode: decode every file, not only those whose end looks wrong.
        diagnosis: takes the findings.
        progress: called with the number of files done since its last call.
    """
    paths = list(files)

    def look(path: Path) -> Found:
        try:
            with path.open("rb") as file:
                return examine(file, path.suffix, files[path], decode)
        except OSError as error:
            return [(Kind.UNREADABLE_IMAGE, error.strerror or str(error))]

    with ThreadPoolExecutor(_THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is a finding here
        _take(zip(paths, pool.map(look, paths), strict=True), diagnosis, progress)


def check_packed_image(content: bytes, name: str, decode: bool, diagnosis: Diagnosis) -> None:
    """Look at one image inside a shard; ``name`` says where."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = examine(io.BytesIO(content), Path(name).suffix, None, decode)
    _take([(name, found)], diagnosis, lambda done: None)


def _take(results: Iterable[tuple[Path | str, Found]], diagnosis: Diagnosis, progress: Callable[[int], None]) -> None:
    for name, found in results:
        diagnosis.images += 1
        for kind, detail in found:
            diagnosis.add(kind, name, detail)
        progress(1)


def examine(file: BinaryIO, ending: str, annotated: tuple[int, int] | None, decode: bool) -> Found:
    """What is wrong with one open image file.

    Args:
        file: at its beginning.
        ending: of its name, with the dot.
        annotated: (height, width) that its annotation gives, of the upright image.
        decode: decode it even where its end looks right.
    """
    try:
        image = Image.open(file)
    except UnidentifiedImageError:
        return [(Kind.UNREADABLE_IMAGE, "")]
    except Image.DecompressionBombError as error:
        return [(Kind.HUGE_IMAGE, str(error))]
    except _DECODING_ERRORS as error:
        return [(Kind.UNREADABLE_IMAGE, str(error))]
    with image:
        found = _check_mode(image) + _check_size(image, annotated)
        expected = _FORMAT_OF_ENDING.get(ending.lower())
        # A camera's several-picture JPEG calls itself MPO.
        if expected is not None and (image.format or "").replace("MPO", "JPEG") != expected:
            found.append((Kind.WRONG_EXTENSION, f"it is {image.format}"))
        if image.format in {"GIF", "WEBP", "PNG"} and getattr(image, "n_frames", 1) > 1:
            found.append((Kind.ANIMATED_IMAGE, ""))
        if not any(kind is Kind.HUGE_IMAGE for kind, _ in found) and (decode or _may_be_cut(file, image.format)):
            found += _decoded(image)
    return found


def _check_mode(image: Image.Image) -> Found:
    if image.mode == "CMYK":
        return [(Kind.CMYK_IMAGE, "")]
    if image.mode == "F":
        return [(Kind.FLOAT_IMAGE, "")]
    if image.mode.startswith("I"):
        return [(Kind.DEEP_IMAGE, "")]
    if image.has_transparency_data:
        return [(Kind.TRANSPARENT_IMAGE, "")]
    return [(Kind.PALETTE_IMAGE, "")] if image.mode == "P" else []


def _check_size(image: Image.Image, annotated: tuple[int, int] | None) -> Found:
    found: Found = []
    stored = (image.height, image.width)
    orientation = _orientation(image)
    upright = stored[::-1] if orientation in {5, 6, 7, 8} else stored
    if annotated is not None and annotated != upright:
        turned = "; its EXIF orientation turns it, unturned it fits" if annotated == stored else ""
        said = f"{upright[1]}x{upright[0]}, its annotation says {annotated[1]}x{annotated[0]}{turned}"
        found.append((Kind.SIZE_MISMATCH, said))
    elif orientation in range(2, 9):
        found.append((Kind.EXIF_ROTATION, f"orientation {orientation}"))
    if stored[0] * stored[1] > MAX_PIXELS:
        found.append((Kind.HUGE_IMAGE, f"{stored[1]}x{stored[0]}"))
    elif min(stored) < 16:
        found.append((Kind.TINY_IMAGE, f"{stored[1]}x{stored[0]}"))
    elif max(stored) > 10 * min(stored):
        found.append((Kind.LONG_IMAGE, f"{stored[1]}x{stored[0]}"))
    return found


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8."""
    # Asking a PNG without EXIF in its header for it would decode all pixels, to look behind them.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _may_be_cut(file: BinaryIO, format: str | None) -> bool:
    """Whether a JPEG or PNG lacks its end mark, or the format has none to look for."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    mark = _END_MARK.get(format or "")
    is_suspect = mark is None or mark not in file.read()
    file.seek(position)
    return is_suspect


def _decoded(image: Image.Image) -> Found:
    try:
        image.load()
    except _DECODING_ERRORS as error:
        return [(Kind.TRUNCATED_IMAGE, str(error))]
    return []
