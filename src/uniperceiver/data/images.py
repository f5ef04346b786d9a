"""Files and bytes become upright RGB pictures."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

MAX_PIXELS = 89_478_485
"""Largest picture that is decoded, 256 MiB as RGB; Pillow's own threshold for a suspected decompression bomb."""
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""Endings, in lower case, of the files in a folder that are taken for pictures."""
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
"""Endings, in lower case, of the files that are taken for videos."""
_TOO_LARGE = f"it has more than twice the {MAX_PIXELS} pixels allowed: make it smaller"
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error)  # what Pillow's decoders raise


def is_video(name: Path | str) -> bool:
    """Whether a file is taken for a video, which its ending says."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


class ImageError(ValueError):
    """A picture that cannot be read; the message names it."""


def read_image(path: Path | str) -> Tensor:
    """The picture in a file, (3, H, W) uint8 RGB, upright.

    Raises:
        ImageError: no such file, not a picture, truncated, too large, or of floating-point pixels.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read the picture {path}: {error.strerror}") from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> Tensor:
    """The picture in an encoded file's bytes, (3, H, W) uint8 RGB, upright; ``name`` is for errors.

    Raises:
        ImageError: as `read_image`.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = _decode_plain_jpeg(data, image)
            return to_rgb_tensor(image) if pixels is None else pixels
    except ImageError as error:
        raise ImageError(f"cannot read the picture {name}: {error}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture in a format that Pillow reads (JPEG, PNG, WebP, …)") from None
    except Image.DecompressionBombError:
        raise ImageError(f"cannot read the picture {name}: {_TOO_LARGE}") from None
    except _DECODING_ERRORS as error:
        raise ImageError(f"the picture {name} is broken: {error}; replace the file") from error


def upright_size(path: Path | str) -> tuple[int, int]:
    """Height and width of the picture in a file, upright; only its header is read.

    Raises:
        ImageError: no such file, or not a picture.
    """
    try:
        with Image.open(path) as image:
            is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (image.width, image.height) if is_turned else (image.height, image.width)
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a picture in a format that Pillow reads (JPEG, PNG, WebP, …)") from None
    except Image.DecompressionBombError:
        raise ImageError(f"cannot read the picture {path}: {_TOO_LARGE}") from None
    except _DECODING_ERRORS as error:
        raise ImageError(f"cannot read the picture {path}: {error}") from None


def to_rgb_tensor(image: Image.Image) -> Tensor:
    """A Pillow picture as (3, H, W) uint8 RGB, turned upright by its EXIF orientation.

    Transparency is laid over white, 16-bit grey keeps its upper 8 bits, colour profiles are not applied. The tensor is
    a view whose colours lie together in memory: torchvision resizes that three to four times as fast.

    Raises:
        ImageError: more than `MAX_PIXELS` pixels, or floating-point ones, whose range is not known.
    """
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"{image.width}x{image.height} pixels are more than the {MAX_PIXELS} allowed: make it smaller")
    upright = ImageOps.exif_transpose(image)
    pixels = np.array(_to_rgb(upright))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers of unknown range: convert it to 8 bits a channel")
    if image.mode.startswith("I"):  # Pillow's own conversion would cut every value above 255 to white
        grey = np.asarray(image).clip(0, 65535) // 256
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image.convert("RGB")


def _decode_plain_jpeg(data: bytes, image: Image.Image) -> Tensor | None:
    """An upright RGB JPEG decoded by torchvision, to the same pixels as Pillow's in 0.4 of the time; None for others.

    Most of Pillow's time goes into copying its four bytes a pixel into an array.
    """
    is_plain = image.format == "JPEG" and image.mode == "RGB" and image.width * image.height <= MAX_PIXELS
    if not is_plain or image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return None
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError:  # torchvision has announced that it will drop its decoders some day: Pillow does as well
        return None
    try:
        return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    except RuntimeError:  # broken: Pillow says how
        return None
