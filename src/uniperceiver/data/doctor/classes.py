"""Checks of class names and of how many examples each class has."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind
from uniperceiver.data.doctor.parts import Part

_IMBALANCE = 100


def check_classes(parts: Sequence[Part], diagnosis: Diagnosis) -> None:
    """Class names of every part, their numbering across parts of a format, examples over the splits of a format."""
    by_format: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        if part.names:
            by_format[part.format].append(part)
    for group in by_format.values():
        for part in _distinct(group):
            _check_names(part, diagnosis)
        _check_numbering(group, diagnosis)
        # A class counts as trained on where the training split has it; without splits, anywhere.
        training = [part for part in group if part.split == "train"] or group
        _check_counts(training, diagnosis)


def _distinct(group: Sequence[Part]) -> list[Part]:
    """One part for each set of names, so that a fault of shared names is said once."""
    return list({tuple(sorted(part.names.items())): part for part in reversed(group)}.values())


def _check_names(part: Part, diagnosis: Diagnosis) -> None:
    alike: dict[str, set[str]] = defaultdict(set)
    for number, name in part.names.items():
        if not name.strip():
            diagnosis.add(Kind.BLANK_NAME, part.source, f"class {number}")
        else:
            alike[re.sub(r"[\s_-]+", "", name).casefold()].add(name)
    for name, times in Counter(part.names.values()).items():
        if times > 1 and name.strip():
            diagnosis.add(Kind.REPEATED_NAME, part.source, f"{name!r}, {times} times")
    for names in alike.values():
        if len(names) > 1:
            diagnosis.add(Kind.SIMILAR_NAMES, part.source, ", ".join(map(repr, sorted(names))))


def _check_numbering(group: Sequence[Part], diagnosis: Diagnosis) -> None:
    first = group[0]
    for part in group[1:]:
        for number in sorted(set(first.names) & set(part.names)):
            if first.names[number] != part.names[number]:
                said = f"{number} is {part.names[number]!r}, in {first.source.name} {first.names[number]!r}"
                diagnosis.add(Kind.CATEGORY_CONFLICT, part.source, said)
                break


def _check_counts(parts: Sequence[Part], diagnosis: Diagnosis) -> None:
    names: dict[int, str] = {}
    examples: Counter[int] = Counter()
    for part in parts:
        names |= part.names
        examples += part.examples
    source = parts[0].source
    examples = Counter({number: count for number, count in examples.items() if number in names})
    if not examples:
        return
    for number in sorted(set(names) - set(examples)):
        diagnosis.add(Kind.EMPTY_CLASS, source, repr(names[number]))
    (most, many), *_, (least, few) = [*examples.most_common(), *examples.most_common()[-1:]]
    if many > _IMBALANCE * few:
        said = f"{names[most]!r} has {many}, {names[least]!r} {few}"
        diagnosis.add(Kind.CLASS_IMBALANCE, source, said)
