"""Loss and learning-rate curves of a training as SVG, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from uniperceiver.evaluation.training_log import LoggedStep

WIDTH, HEIGHT = 340, 200
"""Of one chart, in the units of its view box."""
COLUMNS = 3
"""Charts side by side in a file, at most."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 30, 26
_POINTS = 200
"""Points of a line, at most."""
_SMOOTHING = 15
"""A smoothed value is a mean that fades out over this part of all values: 1/15."""
_RAW, _LINE, _GRID, _TEXT = "#9ec5e8", "#0b5394", "#d5d8dc", "#1b1f24"


@dataclass(frozen=True)
class Curve:
    """One chart: numbers over steps."""

    title: str
    steps: np.ndarray
    """(n,) int64, rising."""
    values: np.ndarray
    """(n,) float64; those that are not finite are left out of the line and counted below it."""
    is_smoothed: bool
    """Draw a smoothed line over the values."""


def curves_of(steps: Sequence[LoggedStep]) -> list[Curve]:
    """The loss of every stream in the order of their first step, then the learning rate."""
    curves = []
    for stream in dict.fromkeys(step.stream for step in steps):
        own = [step for step in steps if step.stream == stream]
        values = np.array([step.loss for step in own])
        curves.append(Curve(f"{stream}: loss", np.array([step.step for step in own]), values, True))
    if steps:
        rates = {step.step: step.learning_rate for step in steps}
        curves.append(Curve("learning rate", np.array(list(rates)), np.array(list(rates.values())), False))
    return curves


def curves_svg(steps: Sequence[LoggedStep]) -> str:
    """One picture with all charts of a training, for a file.

    Raises:
        ValueError: no steps.
    """
    curves = curves_of(steps)
    if not curves:
        raise ValueError("the training log has no step, so there is no curve to draw")
    columns = min(COLUMNS, len(curves))
    width, height = columns * WIDTH, -(-len(curves) // columns) * HEIGHT
    charts = [
        f'<svg x="{place % columns * WIDTH}" y="{place // columns * HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        + chart_svg(curve).removeprefix("<svg ")
        for place, curve in enumerate(curves)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(charts) + "\n</svg>\n"
    )


def chart_svg(curve: Curve) -> str:
    """One chart as an SVG element without width and height: as wide as what it stands in."""
    is_finite = np.isfinite(curve.values)
    steps, values = curve.steps[is_finite], curve.values[is_finite]
    lost = int((~is_finite).sum())
    title = curve.title
    if not len(values):
        parts = [_label(WIDTH / 2, HEIGHT / 2, f"none of {lost} values is finite", "middle")]
        return _element(title, f"{title}: none of {lost} values is finite.", parts)
    smooth = _smoothed(values) if curve.is_smoothed else values
    drawn, raw, line = _thinned(steps), _thinned(values), _thinned(smooth)
    low, high = min(raw.min(), line.min()), max(np.quantile(raw, 0.98), line.max())
    low, high = _widened(float(low), float(high))
    axes = _Axes(float(curve.steps[0]), float(max(curve.steps[-1], curve.steps[0] + 1)), low, high)
    parts = axes.grid()
    if curve.is_smoothed:
        parts.append(axes.line(drawn, raw.clip(low, high), _RAW, 1))
    parts.append(axes.line(drawn, line, _LINE, 2))
    note = f"; {lost} values that are not finite left out" if lost else ""
    if lost:
        parts.append(_label(WIDTH - _RIGHT, _TOP + 12, f"{lost} not finite", "end"))
    description = (
        f"{title}, from {smooth[0]:.3g} at step {steps[0]} to {smooth[-1]:.3g} at step {steps[-1]}"
        f"{', smoothed' if curve.is_smoothed else ''}{note}."
    )
    return _element(title, description, parts)


@dataclass(frozen=True)
class _Axes:
    """Where numbers lie on a chart."""

    first: float
    last: float
    low: float
    high: float

    def x(self, step: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (step - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - self.low) / (self.high - self.low)

    def grid(self) -> list[str]:
        """Lines and labels of round numbers."""
        parts = [_label(6, HEIGHT - 8, "step", "start")]
        for value in _round_numbers(self.low, self.high, 6):
            y = self.y(value)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="{_GRID}"/>')
            parts.append(_label(_LEFT - 5, y + 4, f"{value:.4g}", "end"))
        for step in _round_numbers(self.first, self.last, 4):
            parts.append(_label(self.x(step), HEIGHT - 8, f"{step:g}", "middle"))
        return parts

    def line(self, steps: np.ndarray, values: np.ndarray, colour: str, width: int) -> str:
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(steps, values, strict=True))
        if len(steps) == 1:
            return f'<circle cx="{self.x(steps[0]):.1f}" cy="{self.y(values[0]):.1f}" r="3" fill="{colour}"/>'
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Running means (n,) whose weights fall by a constant factor into the past."""
    keep = 1 - 1 / max(1.0, len(values) / _SMOOTHING)
    smooth, total, weight = np.empty(len(values)), 0.0, 0.0
    for place, value in enumerate(values.tolist()):
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        smooth[place] = total / weight
    return smooth


def _thinned(values: np.ndarray) -> np.ndarray:
    """Means of at most `_POINTS` neighbouring groups."""
    groups = np.array_split(values.astype(np.float64), min(_POINTS, len(values)))
    return np.array([group.mean() for group in groups])


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range that is one: a constant gets some room on both sides."""
    is_constant = high - low <= 1e-9 * max(abs(low), abs(high))  # but for rounding
    room = (abs(low) / 2 or 1.0) if is_constant else 0.04 * (high - low)
    return low - room, high + room


def _round_numbers(low: float, high: float, number: int) -> list[float]:
    """About ``number`` multiples of 1, 2 or 5 times a power of ten between low and high."""
    rough = (high - low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    multiples = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [multiple * step for multiple in multiples]


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" fill="{_TEXT}">{text}</text>'


def _element(title: str, description: str, parts: Sequence[str]) -> str:
    heading = _label(_LEFT, 17, _escaped(title[:50]), "start").replace(" ", ' font-weight="bold" ', 1)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_escaped(description)}" '
        f'font-family="system-ui, sans-serif">{heading}{"".join(parts)}</svg>'
    )


def _escaped(text: str) -> str:
    """Text that XML can hold."""
    return escape("".join(character if character.isprintable() else "�" for character in text))
