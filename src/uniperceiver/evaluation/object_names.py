"""Which objects a caption names, and how well that agrees with what its picture shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from uniperceiver.data.scenes.words import plural

_WORD = re.compile(r"\w+")
Words = tuple[str, ...]


class NameFinder:
    """Finds names of objects, also in the plural, in captions.

    Longer names come first and words count once: "green apple" does not name an apple besides, nor "hot dogs" a dog.
    Only letters and digits count, so it does not matter how a tokenizer puts "t-shirt" together.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """``names`` that may occur, in the singular (or as they are, where they have none)."""
        self._name_of: dict[Words, str] = {}
        for name in names:
            self._name_of[_words(plural(name))] = name
        self._name_of |= {_words(name): name for name in names}
        self._longest = max(map(len, self._name_of), default=0)

    def names_in(self, caption: str) -> frozenset[str]:
        """The names of the objects that a caption speaks of."""
        words = _words(caption)
        found: set[str] = set()
        start = 0
        while start < len(words):
            length = self._name_at(words, start)
            if length:
                found.add(self._name_of[words[start : start + length]])
            start += max(1, length)
        return frozenset(found)

    def _name_at(self, words: Words, start: int) -> int:
        """Number of words of the longest name that begins at ``start``; 0 if none does."""
        for length in range(min(self._longest, len(words) - start), 0, -1):
            if words[start : start + length] in self._name_of:
                return length
        return 0


def name_scores(found: Sequence[frozenset[str]], shown: Sequence[frozenset[str]]) -> dict[str, float]:
    """``name_f1``, ``name_precision``, ``name_recall`` over all pictures together, and ``name_exact``, in [0, 1].

    Args:
        found: names in the caption of each picture.
        shown: names of what each picture shows; at least one in all.

    Raises:
        ValueError: no pictures, or not one caption for each.
    """
    if not shown or len(found) != len(shown):
        raise ValueError(f"expected the names of one caption per picture, got {len(found)} for {len(shown)} pictures")
    right = sum(len(a & b) for a, b in zip(found, shown, strict=True))
    given, wanted = sum(map(len, found)), sum(map(len, shown))
    return {
        "name_f1": 2 * right / (given + wanted),
        "name_precision": right / given if given else 0.0,
        "name_recall": right / wanted,
        "name_exact": sum(a == b for a, b in zip(found, shown, strict=True)) / len(shown),
    }


def best_constant_names(shown: Sequence[frozenset[str]]) -> frozenset[str]:
    """The names which, said of every picture, give the best F1: the most frequent ones, as many as it takes."""
    ranked = [name for name, _ in Counter(name for names in shown for name in sorted(names)).most_common()]
    prefixes = [frozenset(ranked[:number]) for number in range(1, len(ranked) + 1)]
    return max(prefixes, key=lambda names: name_scores([names] * len(shown), shown)["name_f1"])


def _words(text: str) -> Words:
    return tuple(_WORD.findall(text.lower()))
