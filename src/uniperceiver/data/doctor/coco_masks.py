"""Segmentations of COCO's JSON against their boxes, areas and images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.json_files import is_count
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.outlines import is_far_outside

_PIXELS = 3.0
"""How far a mask's extent may lie from its box: tools round, and count pixels from 0 or 1."""
_AREA = 0.2
"""Relative difference of areas that passes: polygons that overlap, pixels that round."""


def is_box(value: Any) -> bool:
    """Whether a JSON value is x, y, width, height."""
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(v, int | float) for v in value):
        return False
    return math.isfinite(sum(value)) and value[2] >= 0 and value[3] >= 0


def check_mask(row: dict[str, Any], size: tuple[int, int] | None, source: Path, diagnosis: Diagnosis) -> None:
    """The segmentation of one annotation, in an image (height, width)."""
    where, segmentation = f"annotation {row.get('id')}", row.get("segmentation")
    if not segmentation:
        diagnosis.add(Kind.NO_MASK, source, where)
    elif isinstance(segmentation, dict):
        _check_run_lengths(row, segmentation, size, where, source, diagnosis)
    elif isinstance(segmentation, list):
        _check_polygons(row, segmentation, size, where, source, diagnosis)
    else:
        diagnosis.add(Kind.BAD_ENTRY, source, f"{where} has a segmentation that is neither polygons nor run lengths")


def _check_polygons(
    row: dict[str, Any],
    parts: list[Any],
    size: tuple[int, int] | None,
    where: str,
    source: Path,
    diagnosis: Diagnosis,
) -> None:
    polygons = []
    for part in parts:
        if not _is_polygon(part):
            length = f"{len(part)} numbers" if isinstance(part, list) else repr(part)[:40]
            diagnosis.add(Kind.BAD_POLYGON, source, f"{where}: {length}")
            return
        polygons.append(np.array(part, dtype=np.float64).reshape(-1, 2))
    if size is not None and is_far_outside(parts, *size):
        diagnosis.add(Kind.BAD_POLYGON, source, f"{where}: far outside its image of {list(size)}")
        return
    areas = [polygon_area(polygon) for polygon in polygons]
    if min(areas) == 0:
        diagnosis.add(Kind.FLAT_POLYGON, source, where)
        return
    corners = np.concatenate(polygons)
    extent = (*corners.min(axis=0), *corners.max(axis=0))
    _compare(row, extent, sum(areas), len(polygons) > 1, where, source, diagnosis)


def _is_polygon(part: Any) -> bool:
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        return False
    return all(isinstance(value, int | float) and math.isfinite(value) for value in part)


def polygon_area(corners: np.ndarray) -> float:
    """Area that a polygon (n, 2) encloses (shoelace formula)."""
    x, y = corners[:, 0], corners[:, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _check_run_lengths(
    row: dict[str, Any],
    segmentation: dict[str, Any],
    size: tuple[int, int] | None,
    where: str,
    source: Path,
    diagnosis: Diagnosis,
) -> None:
    shape, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(shape, list) or len(shape) != 2 or not all(is_count(side) and side > 0 for side in shape):
        diagnosis.add(Kind.MASK_SIZE, source, f"{where}: size {shape!r}")
        return
    if size is not None and tuple(shape) != size:
        diagnosis.add(Kind.MASK_SIZE, source, f"{where}: {shape} in an image of {list(size)}")
        return
    runs = unpack_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(is_count(run) and run >= 0 for run in runs):
        diagnosis.add(Kind.BAD_RUN_LENGTHS, source, f"{where}: counts are no run lengths")
    elif sum(runs) != shape[0] * shape[1]:
        diagnosis.add(Kind.BAD_RUN_LENGTHS, source, f"{where}: they cover {sum(runs)} of {shape[0] * shape[1]} pixels")
    elif sum(runs[1::2]) == 0:
        diagnosis.add(Kind.NO_MASK, source, f"{where}: no pixel is set")
    else:
        _compare(row, _extent_of_runs(runs, shape[0]), sum(runs[1::2]), False, where, source, diagnosis)


def unpack_counts(text: str) -> list[int] | None:
    """COCO's compressed run lengths as numbers; None when the text is none.

    Characters from code 48 carry five bits each, lowest first, and a sixth that says that more follow; from the fourth
    run on, a run is written as the difference to the run two before.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            return None
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    return None if shift else runs


def _extent_of_runs(runs: list[int], height: int) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) of the pixels set; runs go down the columns."""
    ends = np.cumsum(runs)
    stops = ends[1::2]
    starts = ends[0::2][: len(stops)]
    starts, stops = starts[stops > starts], stops[stops > starts]
    x0, x1 = starts[0] // height, (stops[-1] - 1) // height + 1
    if (starts // height != (stops - 1) // height).any():
        return float(x0), 0.0, float(x1), float(height)
    return float(x0), float((starts % height).min()), float(x1), float(((stops - 1) % height).max() + 1)


def _compare(
    row: dict[str, Any],
    extent: tuple[float, ...],
    area: float,
    may_overlap: bool,
    where: str,
    source: Path,
    diagnosis: Diagnosis,
) -> None:
    given = row.get("area")
    if is_box(row.get("bbox")):
        x, y, width, height = row["bbox"]
        corners = (x, y, x + width, y + height)
        if max(abs(a - b) for a, b in zip(corners, extent, strict=True)) > _PIXELS:
            said = [round(float(value), 1) for value in extent]
            diagnosis.add(Kind.MASK_OUTSIDE_BOX, source, f"{where}: mask reaches {said}, box {list(corners)}")
    if not isinstance(given, int | float) or not math.isfinite(given):
        diagnosis.add(Kind.BAD_ENTRY, source, f"{where} has the area {given!r}")
    elif abs(given - area) > _AREA * area + 4 and not (may_overlap and given < area):
        diagnosis.add(Kind.WRONG_AREA, source, f"{where}: {given}, the mask has {area:.0f} pixels")
