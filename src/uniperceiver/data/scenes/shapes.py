"""Cut-outs without any file: plain shapes, drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator

from PIL import Image, ImageDraw

from uniperceiver.data.scenes.colours import COLOURS, OBJECT_COLOURS
from uniperceiver.data.scenes.sources import NamedPicture

SIDE = 128
OVERSAMPLING = 3
OUTLINE = 0.02
"""Half the width of the dark outline, in shapes."""
VARIANTS = (0.8, 0.9, 1.0, 1.12, 1.25)
"""Widths over heights: a shape comes in five, in every colour, so that the splits share none."""
Polygon = list[tuple[float, float]]


def drawn_shapes() -> Iterator[NamedPicture]:
    """Every shape in every colour in every variant; the colour is known."""
    for name, polygon in shape_polygons().items():
        for colour in OBJECT_COLOURS:
            for number, aspect in enumerate(VARIANTS):
                yield NamedPicture(name, f"{name} {colour} {number}", _draw(polygon, colour, aspect), colour)


def shape_polygons() -> dict[str, Polygon]:
    """Name → corners x, y in [-1, 1], y downwards."""
    moon = _arc(0, 0, 0.95, 40, 320) + _arc(0.35, 0, 0.73, 302, 58)
    return {
        "arrow": [(-0.95, -0.3), (0.1, -0.3), (0.1, -0.8), (0.95, 0), (0.1, 0.8), (0.1, 0.3), (-0.95, 0.3)],
        "circle": _arc(0, 0, 0.95, 0, 360),
        "crescent": moon,
        "cross": [(x, y) for x, y in _cross(0.32)],
        "diamond": [(0, -0.95), (0.65, 0), (0, 0.95), (-0.65, 0)],
        "drop": [(0, -0.95), *_arc(0, 0.3, 0.65, -30, 210)],
        "half circle": _arc(0, 0.4, 0.95, 180, 360),
        "heart": [_heart(math.tau * step / 60) for step in range(60)],
        "hexagon": _regular(6, 0.95),
        "square": [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
        "star": [_polar(0.95 if step % 2 == 0 else 0.4, 36 * step - 90) for step in range(10)],
        "triangle": [(0, -0.9), (0.95, 0.8), (-0.95, 0.8)],
    }


def _draw(polygon: Polygon, colour: str, aspect: float) -> Image.Image:
    side = SIDE * OVERSAMPLING
    picture = Image.new("RGBA", (side, side))
    width, height = min(1.0, aspect) * 0.47 * side, min(1.0, 1 / aspect) * 0.47 * side
    corners = [(side / 2 + x * width, side / 2 + y * height) for x, y in polygon]
    red, green, blue = COLOURS[colour]
    draw = ImageDraw.Draw(picture)
    draw.polygon(corners, fill=(red, green, blue, 255))
    dark = (red // 2, green // 2, blue // 2, 255)
    draw.line([*corners, *corners[:2]], fill=dark, width=round(2 * OUTLINE * side), joint="curve")
    return picture.reduce(OVERSAMPLING)


def _polar(radius: float, degrees: float) -> tuple[float, float]:
    return radius * math.cos(math.radians(degrees)), radius * math.sin(math.radians(degrees))


def _arc(x: float, y: float, radius: float, start: float, end: float) -> Polygon:
    angles = [start + (end - start) * step / 48 for step in range(49)]
    return [(x + dx, y + dy) for dx, dy in (_polar(radius, angle) for angle in angles)]


def _regular(corners: int, radius: float) -> Polygon:
    return [_polar(radius, 360 * step / corners) for step in range(corners)]


def _cross(half: float) -> Polygon:
    quarter = [(half, -0.9), (half, -half), (0.9, -half)]
    corners = list(quarter)
    for _ in range(3):
        quarter = [(-y, x) for x, y in quarter]
        corners += quarter
    return corners


def _heart(angle: float) -> tuple[float, float]:
    x = 16 * math.sin(angle) ** 3
    y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)
    return x / 17.5, -(y + 2.5) / 16
