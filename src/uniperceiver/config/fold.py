"""A part of a data set that has no split of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT


@dataclass(frozen=True, config=STRICT)
class FoldConfig:
    """A part of a data set that has no split of its own: record i is held out when i % folds == 0."""

    folds: Annotated[int, Field(ge=2)]
    held_out: bool
