from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uniperceiver.data.scenes.cutouts import attributions, open_cutouts
from uniperceiver.data.scenes.sources import CutoutError
from uniperceiver.data.scenes.tuxpaint import stamp_name


@pytest.mark.parametrize(
    ("path", "description", "name"),
    [
        ("animals/birds/owl", "An owl.", "owl"),
        ("animals/birds/rooster", "A colorful rooster.", "rooster"),
        ("food/vegetables/tomato", "A ripe, red tomato!", "tomato"),
        ("vehicles/flight/balloon360", "A hot air balloon.", "hot-air balloon"),
        ("town/roadsigns/stop", "A “Stop” sign. Stop here, then go when it’s your turn.", "stop sign"),
        ("town/roadsigns/yield", "“Yield” means you have to let other people go first.", None),
        ("animals/mammals/wildboar", "Two wild boars.", None),
        ("symbols/alphabets/english/a", "The letter.", None),
        ("new/thing", "A thing that no table knows.", None),
        ("new/knife", "A sailor’s knife.", "sailor's knife"),
    ],
)
def test_descriptions_become_names(path: str, description: str, name: str | None) -> None:
    assert stamp_name(path, description) == name


def stamps(root: Path, write_cutout: Callable[..., Path], described: dict[str, str | None]) -> Path:
    """A folder of stamps; without a description for None."""
    for name, text in described.items():
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_cutout("stamp.png").rename(path)
        if text is not None:
            path.with_suffix(".txt").write_text(f"{text}\nde.utf8=Etwas.\n", encoding="utf-8")
    return root


def test_stamps_are_cutouts_beside_those_of_other_sources(write_cutout, tmp_path: Path) -> None:
    described = {"animals/dog": "A dog.", "animals/hound": "A dog.", "animals/dog_mirror": None, "symbols/a": "An a."}
    root = stamps(tmp_path / "stamps", write_cutout, described)
    write_cutout("dog.png")
    write_cutout("owl.png")
    cutouts = open_cutouts((f"tuxpaint:{root}", str(tmp_path / "cutouts")), 128)
    assert [(c.name, c.instance) for c in cutouts] == [
        ("dog", "dog.png"), ("dog", "stamp animals/dog"), ("dog", "stamp animals/hound"), ("owl", "owl.png"),
    ]  # fmt: skip


def test_folders_without_stamps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CutoutError, match="tuxpaint-stamps-default"):
        open_cutouts(f"tuxpaint:{tmp_path / 'missing'}", 128)
    with pytest.raises(CutoutError, match="no stamp with a description"):
        open_cutouts(f"tuxpaint:{tmp_path}", 128)


def test_every_licensed_source_is_named() -> None:
    assert ["OpenMoji" in text for text in attributions("openmoji")] == [True]
    assert len(attributions(("openmoji", "tuxpaint:/somewhere", "shapes"))) == 2
    assert attributions("my_pictures") == []
