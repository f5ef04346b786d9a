from __future__ import annotations

import io

import pytest
import torch
from PIL import Image

from uniperceiver.evaluation.examples import Example, Lot, counted, mixed, panel, picture_of


def example(name: str) -> Example:
    return Example(name, None, ())


def test_a_lot_does_not_depend_on_the_order_and_makes_only_what_it_keeps() -> None:
    made: list[str] = []

    def draw(names: list[str]) -> list[str]:
        lot = Lot(capacity=5)
        for name in names:
            lot.offer(name, lambda name=name: (made.append(name), example(name))[1])
        assert lot.offered == len(names)
        return [kept.heading for kept in lot.drawn()]

    names = [f"picture {number}" for number in range(2000)]
    drawn = draw(names)
    assert len(set(drawn)) == 5
    assert drawn == draw(names[::-1])
    assert drawn != names[:5]
    assert len(made) < 200


def test_a_lot_of_few_or_equal_keys_keeps_them_all() -> None:
    lot = Lot(capacity=5)
    assert lot.drawn() == []
    for name in ("a", "a", "b\ud800"):
        lot.offer(name, lambda name=name: example(name))
    assert len(lot.drawn()) == 3


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [("abcdef", "uvwxyz", "aubv"), ("abcdef", "u", "aubc"), ("a", "uvwxyz", "auvw"), ("", "", "")],
)
def test_right_and_wrong_in_turn_and_filled_up(right: str, wrong: str, expected: str) -> None:
    assert "".join(mixed(list(right), list(wrong), 4)) == expected


@pytest.mark.parametrize(("height", "width"), [(1000, 10), (10, 1000), (20, 30), (1, 1), (3000, 1)])
def test_pictures_are_small_jpegs(height: int, width: int) -> None:
    made = panel(picture_of(torch.randint(0, 255, (3, height, width), dtype=torch.uint8)), "alt")
    stored = Image.open(io.BytesIO(made.jpeg))
    assert stored.format == "JPEG"
    assert stored.size == made.size
    assert max(made.size) == min(320, max(height, width))


def test_counted() -> None:
    assert counted(["dog", "cat", "dog"]) == "dog × 2, cat"
    assert counted([]) == "nothing"
