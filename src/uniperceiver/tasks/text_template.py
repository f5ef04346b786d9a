"""One or two texts made one text with a slot, as v1 asks GLUE's questions (spec/uni_perceiver_v1_moe.md, section 4)."""

from __future__ import annotations

import re

from uniperceiver.data.tokenizer import Tokenizer

_PLACE = re.compile(r"(\{\w*\})")
_FIRST = {"{first}", "{first_without_stop}"}
_TEXTS = _FIRST | {"{second}"}
_KNOWN = _TEXTS | {"{slot}", "{end}"}


class TextTemplate:
    """A pattern such as ``{first} {end} it is {slot} .`` in a tokenizer's ids.

    ``{first_without_stop}`` is the first text without its last token if that is a full stop, as in v1, whose tokenizer
    makes one other token of ``...``, which stays. Start and end tokens frame the whole.
    """

    def __init__(self, pattern: str, tokenizer: Tokenizer, max_tokens: int) -> None:
        """``max_tokens`` bounds the text, special tokens included.

        Raises:
            ValueError: an unknown place, not exactly one slot and one first text, or no room for a text.
        """
        self.pattern = pattern
        self.tokenizer = tokenizer
        self.has_second = "{second}" in pattern
        parts = [part for part in _PLACE.split(pattern) if part]
        _check(parts, pattern)
        self._spaced = frozenset(
            place for before, place in zip(["", *parts], parts, strict=False) if before.endswith((" ", "\n"))
        )
        # A byte-level tokenizer keeps the blank before a word in its token, so blanks stand before words, never behind.
        self._parts = [
            part if part in _KNOWN else tuple(tokenizer.encode(part.rstrip(), special=False))
            for part in parts
            if part in _KNOWN or part.strip()
        ]
        fixed = sum(1 if part in {"{slot}", "{end}"} else len(part) for part in self._parts if part not in _TEXTS)
        stops = tokenizer.encode_batch([".", " ."], special=False)
        self._stops = {index for ids in stops for index in ids} - tokenizer.special_ids
        self._room = max_tokens - fixed - len(tokenizer.framed([]))
        if self._room < 2:
            raise ValueError(f"max_tokens={max_tokens} leaves no room for a text in the template {pattern!r}")

    def encode(self, first: str, second: str | None) -> tuple[list[int], int]:
        """The ids, start and end included, and the place of the slot. Texts that are too long lose their last words,
        the longer one first; the slot always stays.

        Raises:
            ValueError: a second text without a place for it, or the other way round.
        """
        if (second is not None) != self.has_second:
            given = "one text" if second is None else "two texts"
            raise ValueError(
                f"the template {self.pattern!r} is for {'two texts' if self.has_second else 'one text'}, "
                f"but a record has {given}: set the task's `template`"
            )
        ids: list[int] = []
        place = 0
        tokens = self._texts(first, second) | {"{slot}": [self.tokenizer.slot_id], "{end}": [self.tokenizer.end_id]}
        for part in self._parts:
            if part == "{slot}":
                place = len(ids)
            ids += tokens[part] if isinstance(part, str) else part
        framed = self.tokenizer.framed(ids)
        return framed, place + len(framed) - len(ids) - 1

    def _texts(self, first: str, second: str | None) -> dict[str, list[int]]:
        """Place → ids of the text that stands there, cut to fit."""
        (a_place,) = (part for part in self._parts if isinstance(part, str) and part in _FIRST)
        a = self._ids(first, a_place)
        if a_place == "{first_without_stop}" and a and a[-1] in self._stops:
            a.pop()
        b = [] if second is None else self._ids(second, "{second}")
        a = a[: max(self._room - len(b), self._room - self._room // 2)]
        return {a_place: a, "{second}": b[: self._room - len(a)]}

    def _ids(self, text: str, place: str) -> list[int]:
        return self.tokenizer.encode(f" {text.strip()}" if place in self._spaced else text.strip(), special=False)


def _check(parts: list[str], pattern: str) -> None:
    places = [part for part in parts if _PLACE.fullmatch(part)]
    unknown = [place for place in places if place not in _KNOWN]
    if unknown:
        raise ValueError(f"the template {pattern!r} has {unknown[0]}: known are {', '.join(sorted(_KNOWN))}")
    if places.count("{slot}") != 1 or sum(place in _FIRST for place in places) != 1 or places.count("{second}") > 1:
        raise ValueError(f"the template {pattern!r} needs one {{slot}}, one {{first}} and at most one {{second}}")
