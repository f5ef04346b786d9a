"""What became of weights that were to be loaded: the one report of checkpoints, pre-trained encoders and converters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors that were to be loaded into a model."""

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
    made: tuple[str, ...] = ()
    """Names here that a converter filled without a counterpart there, to go with the rest."""

    @property
    def is_complete(self) -> bool:
        """Everything given was used or knowingly dropped, and everything expected was given."""
        return not (self.missing or self.surplus or self.misshaped or self.disagreeing)

    def summary(self) -> str:
        """One line: how many of each."""
        counts = {
            "matched": len(self.matched),
            "made anew": len(self.made),
            "dropped": len(self.dropped),
            "missing": len(self.missing),
            "surplus": len(self.surplus),
            "of another shape": len(self.misshaped),
            "aliases that differ": len(self.disagreeing),
        }
        return ", ".join(f"{number} {kind}" for kind, number in counts.items() if number or kind == "matched")

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

    def __init__(self, what: str, report: LoadReport) -> None:
        super().__init__(f"{what} does not fit the configured model:\n{report.problems()}")
        self.report = report


def compare(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> LoadReport:
    """Names and shapes of tensors beside those of a model's state dict; nothing is loaded."""
    shared = [name for name in expected if name in given]
    return LoadReport(
        matched=tuple((name, name) for name in shared if given[name].shape == expected[name].shape),
        missing=tuple(name for name in expected if name not in given),
        surplus=tuple(name for name in given if name not in expected),
        misshaped=tuple(
            (name, tuple(given[name].shape), tuple(expected[name].shape))
            for name in shared
            if given[name].shape != expected[name].shape
        ),
    )
