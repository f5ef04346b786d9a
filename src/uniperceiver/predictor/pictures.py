"""What a caller may hand over as a picture or video, and how it becomes upright RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from uniperceiver.data.images import ImageError, is_video, read_image, to_rgb_tensor
from uniperceiver.data.records import Video
from uniperceiver.predictor.videos import VideoReader

Picture = str | Path | Image.Image | np.ndarray | Tensor
"""A file; a Pillow picture; an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); a tensor (H, W), (1, H, W), (3, H, W)
or (4, H, W). Numbers are uint8, uint16 (the upper 8 bits count) or floats in [0, 1]; a fourth channel is transparency,
laid over white. Colours are RGB: OpenCV's arrays want ``array[:, :, ::-1]``. Where videos are taken, also the file of
one, or what a `VideoReader` made of it: a tensor (V, T, 3, h, w) uint8."""
_NO_VIDEOS = (
    "only classify, caption, match and embed_image take videos, of models that read frames (image.kind patches, v1): "
    "give frames of it as pictures"
)


def listed(pictures: Any) -> list[Any]:
    """One picture as a list of one; a list, or a stack (B, …) of four dimensions, as a list of pictures."""
    if isinstance(pictures, np.ndarray | Tensor):
        return list(pictures) if pictures.ndim == 4 else [pictures]
    return list(pictures) if isinstance(pictures, Sequence) and not isinstance(pictures, str) else [pictures]


def to_pixels(picture: Picture, read_video: VideoReader | None = None) -> Tensor:
    """A picture as (3, H, W) uint8 RGB on the CPU, upright by its EXIF rotation; a video as ``read_video`` gives it.

    Raises:
        ImageError: a file or Pillow picture that cannot be read, an array of another shape, type or range, or a video
            without ``read_video``.
        TypeError: not a picture.
    """
    match picture:
        case Image.Image():
            return _from_pillow(picture)
        case Tensor(ndim=5):
            return _views(picture, read_video)
        case Tensor():
            return _from_array(_channels_last(picture))
        case np.ndarray():
            return _from_array(picture)
        case str() | Path():
            if str(picture).startswith(("http://", "https://")):
                raise ImageError(f"{picture} is an address: download the picture first; only the command line does it")
            if not is_video(picture):
                return read_image(picture)
            if read_video is None:
                raise ImageError(f"{picture} is a video: {_NO_VIDEOS}")
            return read_video(picture)
    raise TypeError(f"expected a path, a Pillow picture, an array or a tensor, got a {type(picture).__name__}")


def upright(picture: Picture, read_video: VideoReader | None = None) -> Image.Image:
    """A picture as an upright RGB Pillow picture, a video as its frames (`Video.image`); errors as in `to_pixels`."""
    pixels = to_pixels(picture, read_video)
    shown = pixels if pixels.ndim == 3 else Video(pixels, "").image
    return Image.fromarray(shown.permute(1, 2, 0).numpy())


def _views(views: Tensor, read_video: VideoReader | None) -> Tensor:
    if read_video is None:
        raise ImageError(f"a tensor of five dimensions is a video: {_NO_VIDEOS}")
    if views.shape[2] != 3 or views.dtype != torch.uint8:
        raise ImageError(
            f"the views of a video are a tensor (V, T, 3, h, w) of uint8, got {tuple(views.shape)} of {views.dtype}"
        )
    return views.detach().cpu()


def _from_pillow(picture: Image.Image) -> Tensor:
    try:
        return to_rgb_tensor(picture)
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError) as error:  # Pillow decodes late: a broken file shows here
        raise ImageError(f"the Pillow picture cannot be decoded: {error}") from error


def _channels_last(picture: Tensor) -> np.ndarray:
    array = picture.detach().cpu()
    if array.ndim == 3:
        if array.shape[0] not in (1, 3, 4):
            raise ImageError(
                f"a picture tensor is (H, W), (1, H, W), (3, H, W) or (4, H, W), got {tuple(picture.shape)}"
            )
        array = array.permute(1, 2, 0)
    return array.float().numpy() if array.dtype in (torch.bfloat16, torch.float16) else array.numpy()


def _from_array(array: np.ndarray) -> Tensor:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ImageError(f"a picture array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {array.shape}")
    return _from_pillow(Image.fromarray(np.ascontiguousarray(_to_bytes(array))))


def _to_bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"a picture holds uint8, uint16 or floats in [0, 1], got {array.dtype}: convert it to uint8")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # also true of NaN
        raise ImageError(f"floats of a picture are in [0, 1], got {low:g} to {high:g}: 0 to 255 wants uint8")
    return np.round(array * 255).astype(np.uint8)
