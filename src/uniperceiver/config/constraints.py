"""What configurations share: unknown keys are errors, numbers have ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid")
"""Of every configuration: a key that is not a field is an error."""
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
DropPath = Fraction | tuple[Fraction, Fraction]
"""Stochastic depth: the rate of every layer, or those of the first and the last, evenly spaced between them."""
