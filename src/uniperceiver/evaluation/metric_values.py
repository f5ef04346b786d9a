"""Values of metrics as people read them and as JSON has them; nan is a metric that nothing was measured on."""

from __future__ import annotations

import math
from collections.abc import Mapping


def percent(value: float) -> str:
    """A metric times 100 with one decimal; a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def with_nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics with null in the place of nan, which JSON lacks."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
