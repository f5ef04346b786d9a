"""The last k checkpoints and the best one stay."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from uniperceiver.checkpoint import BestSoFar
from uniperceiver.training import checkpoint_keeping
from uniperceiver.training.checkpoint_keeping import after_evaluation, copy_checkpoint, keep_best, keep_last


def write(folder: Path, content: str) -> None:
    """A new newest checkpoint; the file is replaced, not written into."""
    newest = folder / "checkpoint"
    newest.mkdir(parents=True, exist_ok=True)
    (newest / "new").write_text(content)
    (newest / "new").rename(newest / "model.safetensors")


def test_the_last_k_stay(tmp_path: Path) -> None:
    for step in (2, 10, 100):
        write(tmp_path, str(step))
        keep_last(tmp_path, step, 2)
    kept = sorted((tmp_path / "kept").iterdir())
    assert [path.name for path in kept] == ["step-00000010", "step-00000100"]
    assert [(path / "model.safetensors").read_text() for path in kept] == ["10", "100"]


def test_one_is_the_newest_alone(tmp_path: Path) -> None:
    write(tmp_path, "a")
    keep_last(tmp_path, 5, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_the_best_stays_when_the_newest_changes_and_a_better_one_replaces_it(tmp_path: Path) -> None:
    write(tmp_path, "good")
    keep_best(tmp_path)
    write(tmp_path, "worse")
    assert (tmp_path / "best" / "model.safetensors").read_text() == "good"
    write(tmp_path, "better")
    keep_best(tmp_path)
    assert (tmp_path / "best" / "model.safetensors").read_text() == "better"
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "best"}


@pytest.mark.parametrize("has_links", [True, False])
def test_copies_share_files_where_the_file_system_can(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no hard links here")

    write(tmp_path, "a")
    if not has_links:
        monkeypatch.setattr(checkpoint_keeping.os, "link", refuse)
    copy_checkpoint(tmp_path / "checkpoint", tmp_path / "copy")
    one, other = (tmp_path / name / "model.safetensors" for name in ("checkpoint", "copy"))
    assert one.samefile(other) == has_links
    assert other.read_text() == "a"


def test_larger_is_better_ties_are_misses_and_nan_never_wins() -> None:
    best = after_evaluation(None, 0.5, 10)
    assert best == BestSoFar(0.5, 10, 0)
    assert after_evaluation(best, 0.5, 20) == BestSoFar(0.5, 10, 1)
    assert after_evaluation(after_evaluation(best, 0.4, 20), math.nan, 30) == BestSoFar(0.5, 10, 2)
    assert after_evaluation(best, 0.6, 20) == BestSoFar(0.6, 20, 0)
    assert after_evaluation(BestSoFar(math.nan, 1, 0), 0.0, 2) == BestSoFar(0.0, 2, 0)
