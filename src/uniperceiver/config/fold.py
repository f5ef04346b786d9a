"""A part of a data set that has no split of its own, or another than it needs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Positive


@dataclass(frozen=True, config=STRICT)
class FoldConfig:
    """A part of a data set that has no split of its own: record i is held out when i % folds == 0."""

    folds: Annotated[int, Field(ge=2)]
    held_out: bool


@dataclass(frozen=True, config=STRICT)
class LastQuestionsConfig:
    """A part of a file of questions: held out are those with the largest question ids, as in v1 (its minival)."""

    last: Positive
    """How many are held out."""
    held_out: bool
