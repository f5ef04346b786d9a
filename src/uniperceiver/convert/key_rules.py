"""State dicts of other projects under our names: explicit rules, and a report of what did not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from uniperceiver.load_report import KeyMismatchError, LoadReport, compare

Rule = tuple[str, str | None]
"""A regular expression for whole names there, and the name here (``\\1`` for its groups). None: knowingly dropped."""


class UnknownKeyError(ValueError):
    """A name that no rule knows."""


def our_key(key: str, rules: Sequence[Rule]) -> str | None:
    """The name here of a name there, by the first rule that matches; None where it is dropped.

    Raises:
        UnknownKeyError: no rule knows it.
    """
    for pattern, target in rules:
        match = re.fullmatch(pattern, key)
        if match is not None:
            return None if target is None else match.expand(target)
    raise UnknownKeyError(f"no rule knows the key {key}")


def rename(tensors: Mapping[str, Tensor], name: Callable[[str], str | None]) -> tuple[dict[str, Tensor], LoadReport]:
    """Tensors under our names, and a report of what no rule knows, what was dropped and which aliases disagree.

    ``name`` gives the name here of a name there, None where it is dropped; it raises `UnknownKeyError`.
    """
    renamed: dict[str, Tensor] = {}
    first: dict[str, str] = {}
    matched, dropped, surplus, disagreeing = [], [], [], []
    for key, tensor in tensors.items():
        try:
            ours = name(key)
        except UnknownKeyError:
            surplus.append(key)
            continue
        if ours is None:
            dropped.append(key)
            continue
        matched.append((key, ours))
        if ours not in renamed:
            renamed[ours], first[ours] = tensor, key
        elif not torch.equal(renamed[ours], tensor):
            disagreeing.append((first[ours], key))
    report = LoadReport(tuple(matched), tuple(dropped), surplus=tuple(surplus), disagreeing=tuple(disagreeing))
    return renamed, report


def check(renamed: Mapping[str, Tensor], expected: Mapping[str, Tensor], report: LoadReport, what: str) -> LoadReport:
    """Complete the report of `rename` by comparing names and shapes with those of a model's state dict.

    Raises:
        KeyMismatchError: something is missing, surplus, of another shape, or aliases disagree; ``what`` is named in it.
    """
    sources: dict[str, list[str]] = {}
    for theirs, ours in report.matched:
        sources.setdefault(ours, []).append(theirs)
    unknown = [key for ours in renamed if ours not in expected for key in sources.get(ours, [ours])]
    complete = replace(
        compare(renamed, expected),
        matched=tuple(pair for pair in report.matched if pair[1] in expected),
        dropped=report.dropped,
        surplus=(*report.surplus, *unknown),
        disagreeing=report.disagreeing,
    )
    if not complete.is_complete:
        raise KeyMismatchError(what, complete)
    return complete
