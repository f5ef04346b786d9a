"""Drawing of predictions on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from uniperceiver.predictions import Detection

Colour = tuple[int, int, int]
MASK_OPACITY = 0.45
NARROWEST_STRIP = 240
"""Pixels; a strip of text below a narrower picture is this wide."""
_GOLDEN_RATIO = 0.618034


def draw_detection(picture: Image.Image, detection: Detection, *, show_scores: bool = True) -> Image.Image:
    """An RGB copy of the picture with the objects on it: translucent masks, boxes, names with scores in percent.

    Every class has a colour of its own. Better objects lie above worse ones. Annotated objects have no scores to show.

    Raises:
        ValueError: masks of another size than the picture.
    """
    colours = [class_colour(int(label)) for label in detection.labels]
    order = np.argsort(detection.scores, kind="stable")
    canvas = picture.convert("RGB")
    if detection.masks is not None:
        canvas = _with_masks(canvas, detection.masks, colours, order)
    draw = ImageDraw.Draw(canvas)
    shorter = min(canvas.size)
    line = max(1, round(shorter / 250))
    font = ImageFont.load_default(size=max(10, round(shorter / 32)))
    for index in order.tolist():
        x0, y0, x1, y1 = detection.boxes[index].tolist()
        draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=colours[index], width=line)
    for index in order.tolist():
        name = detection.names[index].encode("utf-8", "replace").decode()  # the font stops at half a surrogate pair
        text = f"{name} {100 * detection.scores[index]:.0f}" if show_scores else name
        _write(draw, text, detection.boxes[index], colours[index], font, canvas.size)
    return canvas


def draw_lines(picture: Image.Image, lines: Sequence[str]) -> Image.Image:
    """An RGB copy of the picture with lines of text on a white strip below it; long lines are broken at blanks."""
    upper = picture.convert("RGB")
    width = max(upper.width, NARROWEST_STRIP)
    size = max(12, round(width / 32))
    font = ImageFont.load_default(size=size)
    # The font stops at half a surrogate pair.
    texts = [line.encode("utf-8", "replace").decode() for line in lines]
    broken = [part for text in texts for part in _broken(text, font, width - size)]
    canvas = Image.new("RGB", (width, upper.height + round(1.4 * size * len(broken)) + size), "white")
    canvas.paste(upper)
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(broken):
        draw.text((size / 2, upper.height + size / 2 + 1.4 * size * number), line, fill=(0, 0, 0), font=font)
    return canvas


def class_colour(label: int) -> Colour:
    """A saturated colour; labels that follow each other lie far apart on the colour circle."""
    hue = label * _GOLDEN_RATIO % 1
    red, green, blue = hsv_to_rgb(hue, 0.85 if label % 2 == 0 else 0.6, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever reads better on the background (ITU-R BT.601 luma)."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def _with_masks(picture: Image.Image, masks: np.ndarray, colours: list[Colour], order: np.ndarray) -> Image.Image:
    if masks.shape[1:] != (picture.height, picture.width):
        raise ValueError(
            f"masks have height and width {masks.shape[1:]}, the picture has {(picture.height, picture.width)}: draw "
            "on the picture the detection was made from"
        )
    canvas = picture.copy()
    for index in order.tolist():
        opacity = Image.fromarray(masks[index].astype(np.uint8) * np.uint8(round(255 * MASK_OPACITY)))
        canvas.paste(colours[index], (0, 0), opacity)
    return canvas


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """A text cut at blanks into lines of at most this width; a single word may be wider."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: np.ndarray,
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """A label on the box's upper left corner, inside the picture."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = min(max(float(box[0]), 0), max(0, size[0] - width))
    y = min(max(float(box[1]) - height, 0), max(0, size[1] - height))
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 2 - left, y + 2 - top), text, fill=text_colour(colour), font=font)
