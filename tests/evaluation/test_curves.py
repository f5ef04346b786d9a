from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from uniperceiver.evaluation.curves import HEIGHT, WIDTH, Curve, chart_svg, curves_of, curves_svg
from uniperceiver.evaluation.training_log import LoggedStep

SVG = "{http://www.w3.org/2000/svg}"


def steps(number: int, stream: str = "coco") -> list[LoggedStep]:
    return [LoggedStep(step, stream, 5 / step, 1e-3 * step) for step in range(1, number + 1)]


def points(curve: Curve) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(chart_svg(curve))
    lines = [line.attrib["points"].split() for line in root.iter("polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line)] for line in lines]


def test_one_chart_per_stream_and_one_of_the_learning_rate() -> None:
    curves = curves_of([*steps(5, "b"), LoggedStep(6, "a", 1.0, 0.1)])
    assert [curve.title for curve in curves] == ["b: loss", "a: loss", "learning rate"]
    assert curves[0].values.tolist() == [5 / step for step in range(1, 6)]
    assert (curves[2].steps[-1], curves[2].values[-1]) == (6, 0.1)
    assert curves_of([]) == []


def test_lines_fall_as_the_loss_does_and_stay_inside() -> None:
    (curve, _) = curves_of(steps(10_000))
    raw, smooth = points(curve)
    for line in (raw, smooth):
        assert len(line) <= 200
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)
        assert all(left[0] < right[0] for left, right in pairwise(line))
    assert smooth[0][1] < smooth[50][1] <= smooth[-1][1]  # y points down


def test_smoothing_keeps_a_constant_and_calms_noise() -> None:
    noise = np.random.default_rng(0).normal(size=1000)
    raw, smooth = points(Curve("noise", np.arange(1000), noise, True))
    assert np.std([y for _, y in smooth[20:]]) < 0.8 * np.std([y for _, y in raw[20:]])
    for line in points(Curve("constant", np.arange(50), np.full(50, 3.0), True)):
        assert len({y for _, y in line}) == 1


@pytest.mark.parametrize(
    "values",
    [[1.0], [0.0, 0.0], [math.nan, 2.0, math.inf, 1.0], [math.nan], [1e-30, 2e-30], [1e18, 1e18 + 4096], [-1, 1e9]],
)
def test_odd_values(values: list[float]) -> None:
    svg = chart_svg(Curve("odd", np.arange(len(values)) + 1, np.array(values), True))
    root = ElementTree.fromstring(svg)
    text = " ".join(root.itertext()) + root.attrib["aria-label"]
    assert "nan" not in svg.replace("nan,", "")
    lost = sum(not math.isfinite(value) for value in values)
    assert (f"{lost} " in text and "finite" in text) == bool(lost)


def test_a_picture_of_all_charts_is_a_file_of_its_own() -> None:
    hostile = '<script>alert("1")</script> & \x00\ud800' + "x" * 100
    root = ElementTree.fromstring(curves_svg(steps(3, hostile) + steps(3, "b") + steps(3, "c")).encode("utf-8"))
    assert root.tag == f"{SVG}svg"
    assert root.attrib["viewBox"] == f"0 0 {3 * WIDTH} {2 * HEIGHT}"
    charts = root.findall(f"{SVG}svg")
    assert [(chart.attrib["x"], chart.attrib["y"]) for chart in charts][3] == ("0", str(HEIGHT))
    assert all(chart.attrib["aria-label"] for chart in charts)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "rect", "text", "path", "polyline"}


def test_no_steps_is_an_error() -> None:
    with pytest.raises(ValueError, match="no step"):
        curves_svg([])
