"""Which names and which cut-outs belong to which part of the data."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from uniperceiver.data.scenes.cutouts import Cutout
from uniperceiver.data.scenes.layout import Choice
from uniperceiver.data.scenes.sources import CutoutError

SPLITS = ("train", "val", "test")
HELD_BACK = 0.2
"""Share of a name's instances that val takes, and test as well."""


class Categories(NamedTuple):
    """Names of scenes to train on, and names kept for novel objects; both in alphabetical order."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def choose_categories(
    names: Sequence[str], training: int | None, held_out: int, with_relatives: bool, seed: int
) -> Categories:
    """Draw the names of a data set.

    Args:
        names: what the cut-outs are called.
        training: how many names to train on; None: all that are not held out.
        held_out: how many names to hold out.
        with_relatives: hold out only names that have a relative (`are_related`) among the training names.
        seed: equal seeds draw equal names.

    Raises:
        CutoutError: not so many names, or not so many with relatives.
    """
    available = sorted(set(names))
    wanted = held_out + (1 if training is None else training)
    if wanted > len(available):
        raise CutoutError(
            f"{held_out} held-out and {training or 'other'} training names were asked for, "
            f"but the cut-outs have {len(available)}: lower names or held_out"
        )
    shuffled = list(available)
    random.Random(f"names/{seed}").shuffle(shuffled)
    novel, kept = _with_relatives(shuffled, held_out) if with_relatives else (shuffled[:held_out], [])
    rest = [name for name in shuffled if name not in novel and name not in kept]
    if training is None:
        return Categories(tuple(sorted(kept + rest)), tuple(sorted(novel)))
    if len(kept) > training:
        raise CutoutError(f"{held_out} held-out names need {len(kept)} relatives to train on, over names = {training}")
    return Categories(tuple(sorted((kept + rest)[:training])), tuple(sorted(novel)))


def are_related(a: str, b: str) -> bool:
    """Whether two names end in the same word: green apple and red apple, dog and guide dog; also dog and dog face."""
    return a != b and _head(a) == _head(b)


def _head(name: str) -> str:
    words = name.split()
    return words[-2] if len(words) > 1 and words[-1] == "face" else words[-1]


def _with_relatives(names: Sequence[str], number: int) -> tuple[list[str], list[str]]:
    """``number`` names to hold out, and for each one a relative that stays."""
    novel: list[str] = []
    kept: list[str] = []
    for name in names:
        if len(novel) == number:
            break
        relatives = [other for other in names if are_related(name, other) and other not in novel]
        if name in kept or not relatives:
            continue
        novel.append(name)
        if not any(relative in kept for relative in relatives):
            kept.append(relatives[0])
    if len(novel) < number:
        raise CutoutError(
            f"{number} held-out names with relatives were asked for, but only {len(novel)} can be: lower held_out"
        )
    return novel, kept


def choices_of(cutouts: Sequence[Cutout], names: Sequence[str], split: str | None, seed: int) -> list[list[Choice]]:
    """For each name the cut-outs of a split, or all without one.

    Instances are divided at random: a fifth each, at least one, to val and test, the others to train. Of two, train has
    one and val and test the other; a single one serves all three.
    """
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for index, cutout in enumerate(cutouts):
        by_name[cutout.name].append(index)
    return [
        [
            Choice(label, name, index, cutouts[index].colour, cutouts[index].outline)
            for index in _of_split(by_name[name], split, f"instances/{seed}/{name}")
        ]
        for label, name in enumerate(names)
    ]


def _of_split(instances: Sequence[int], split: str | None, key: str) -> list[int]:
    if split is None:
        return list(instances)
    shuffled = list(instances)
    random.Random(key).shuffle(shuffled)
    if len(shuffled) == 1:
        return shuffled
    if len(shuffled) == 2:
        return shuffled[:1] if split == "train" else shuffled[1:]
    held_back = max(1, round(HELD_BACK * len(shuffled)))
    parts = {
        "val": shuffled[:held_back],
        "test": shuffled[held_back : 2 * held_back],
        "train": shuffled[2 * held_back :],
    }
    return sorted(parts[split])
