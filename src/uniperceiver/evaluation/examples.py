"""Examples of predictions for a person to look at: pictures and words, small enough to be kept."""

from __future__ import annotations

import hashlib
import heapq
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from PIL import Image
from torch import Tensor

Item = TypeVar("Item")
LONGEST_SIDE = 320
"""Pixels; larger pictures are made smaller."""
SMALL_SIDE = 160
"""The same for pictures that stand in a row."""
SHOWN = 12
"""Examples of a stream, at most."""
_QUALITY = 80


@dataclass(frozen=True)
class Panel:
    """One picture of an example."""

    jpeg: bytes
    size: tuple[int, int]
    """Width and height in pixels."""
    alt: str
    """What it shows, for those who cannot see it."""
    caption: str = ""
    """Stands below it."""


@dataclass(frozen=True)
class Example:
    """One prediction beside what people annotated."""

    heading: str
    is_right: bool | None
    """None: neither right nor wrong, a matter of degree."""
    facts: tuple[tuple[str, str], ...]
    """(what, words) in the order of reading."""
    panels: tuple[Panel, ...] = ()


@dataclass(frozen=True)
class ExampleSheet:
    """The examples of one stream."""

    examples: tuple[Example, ...] = ()
    note: str = ""
    """How they were chosen, in a sentence or two."""


@dataclass
class Lot:
    """A sample of all that is offered, drawn without knowing how much will come, the same in every order of coming.

    Each offer has a key, whose hash decides: the smallest hashes stay.
    """

    capacity: int = SHOWN
    offered: int = 0
    _kept: list[tuple[int, int, Example]] = field(default_factory=list)

    def offer(self, key: str, make: Callable[[], Example]) -> None:
        """Consider one more; the example is made only if it is kept for now."""
        self.offered += 1
        rank = -lot_number(key)  # heapq keeps the smallest on top, which here is the largest hash
        if len(self._kept) < self.capacity:
            heapq.heappush(self._kept, (rank, -self.offered, make()))
        elif rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (rank, -self.offered, make()))

    def drawn(self) -> list[Example]:
        """What is kept, in the order of the lots."""
        return [example for _, _, example in sorted(self._kept, key=lambda entry: entry[:2], reverse=True)]


def lot_number(key: str) -> int:
    """64 bits that look random and are the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def mixed(right: list[Item], wrong: list[Item], number: int) -> tuple[Item, ...]:
    """Right and wrong ones in turn, half of each; where one kind lacks, the other fills up."""
    rights = min(len(right), max(number // 2, number - len(wrong)))
    wrongs = min(len(wrong), number - rights)
    in_turn = [(2 * place, item) for place, item in enumerate(right[:rights])]
    in_turn += [(2 * place + 1, item) for place, item in enumerate(wrong[:wrongs])]
    return tuple(item for _, item in sorted(in_turn, key=lambda entry: entry[0]))


def picture_of(image: Tensor, longest: int = LONGEST_SIDE) -> Image.Image:
    """A record's image (3, H, W) uint8 as a picture of which no side is longer than ``longest``."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    ratio = longest / max(picture.size)
    if ratio >= 1:
        return picture
    width, height = (max(1, round(side * ratio)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def panel(picture: Image.Image, alt: str, caption: str = "") -> Panel:
    """A picture as it is kept."""
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=_QUALITY)
    return Panel(content.getvalue(), picture.size, alt, caption)


def counted(names: Sequence[str]) -> str:
    """Distinct names, the most frequent first, with how often each occurs."""
    return ", ".join(f"{name} × {n}" if n > 1 else name for name, n in Counter(names).most_common()) or "nothing"
