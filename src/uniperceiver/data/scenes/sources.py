"""What a source of cut-outs gives."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image


class CutoutError(ValueError):
    """Cut-outs that cannot be used; the message names the file and what to change."""


class NamedPicture(NamedTuple):
    """A picture of one object, as its source has it."""

    name: str
    """Lower case, words separated by spaces."""
    instance: str
    picture: Image.Image
    colour: str | None = None
