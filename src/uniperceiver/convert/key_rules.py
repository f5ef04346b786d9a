"""State dicts of other projects under our names: explicit rules, and a report of what did not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Rule = tuple[str, str | None]
"""A regular expression for whole names there, and the name here (``\\1`` for its groups). None: knowingly dropped."""


class UnknownKeyError(ValueError):
    """A name that no rule knows."""


@dataclass(frozen=True)
class KeyReport:
    """What became of the tensors of a state dict."""

    matched: tuple[tuple[str, str], ...]
    """(name there, name here). Several names there may be one tensor here: aliases."""
    dropped: tuple[str, ...] = ()
    """Names there that are knowingly not used."""
    missing: tuple[str, ...] = ()
    """Names here that nothing was given for."""
    surplus: tuple[str, ...] = ()
    """Names there that no rule knows, or whose counterpart our model does not have."""
    misshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    """(name here, shape given, shape expected)."""
    disagreeing: tuple[tuple[str, str], ...] = ()
    """Pairs of names there that should be one tensor but differ."""

    @property
    def is_complete(self) -> bool:
        """Everything given was used or knowingly dropped, and everything expected was given."""
        return not (self.missing or self.surplus or self.misshaped or self.disagreeing)

    def problems(self) -> str:
        """One line per kind of problem, with up to five examples."""
        kinds: dict[str, Sequence[str]] = {
            "missing (the model has it, the file does not)": self.missing,
            "surplus (the file has it, the model does not)": self.surplus,
            "of another shape": [f"{k}: given {a}, expected {b}" for k, a, b in self.misshaped],
            "aliases that differ": [f"{a} and {b}" for a, b in self.disagreeing],
        }
        return "\n".join(
            f"  {len(found)} {kind}: {', '.join(found[:5])}{', …' if len(found) > 5 else ''}"
            for kind, found in kinds.items()
            if found
        )


class KeyMismatchError(ValueError):
    """A state dict that does not fit; ``report`` says in what."""

    def __init__(self, what: str, report: KeyReport) -> None:
        super().__init__(f"{what} does not fit the configured model:\n{report.problems()}")
        self.report = report


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


def rename(tensors: Mapping[str, Tensor], name: Callable[[str], str | None]) -> tuple[dict[str, Tensor], KeyReport]:
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
    report = KeyReport(tuple(matched), tuple(dropped), surplus=tuple(surplus), disagreeing=tuple(disagreeing))
    return renamed, report


def check(renamed: Mapping[str, Tensor], expected: Mapping[str, Tensor], report: KeyReport, what: str) -> KeyReport:
    """Complete the report of `rename` by comparing names and shapes with those of a model's state dict.

    Raises:
        KeyMismatchError: something is missing, surplus, of another shape, or aliases disagree; ``what`` is named in it.
    """
    sources: dict[str, list[str]] = {}
    for theirs, ours in report.matched:
        sources.setdefault(ours, []).append(theirs)
    unknown = [key for ours in renamed if ours not in expected for key in sources.get(ours, [ours])]
    complete = KeyReport(
        matched=tuple(pair for pair in report.matched if pair[1] in expected),
        dropped=report.dropped,
        missing=tuple(key for key in expected if key not in renamed),
        surplus=(*report.surplus, *unknown),
        misshaped=tuple(
            (key, tuple(renamed[key].shape), tuple(tensor.shape))
            for key, tensor in expected.items()
            if key in renamed and renamed[key].shape != tensor.shape
        ),
        disagreeing=report.disagreeing,
    )
    if not complete.is_complete:
        raise KeyMismatchError(what, complete)
    return complete
