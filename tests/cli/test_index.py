"""The commands of the retrieval index, run as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from uniperceiver import cli


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_build_add_and_search(untrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, photos = tmp_path / "index", tmp_path / "photos"
    shutil.copytree(data / "images", photos)
    assert run("index", "build", photos, "--out", index, "--model", untrained) == 0
    assert "6 pictures (6 added, 0 unchanged, 0 removed)" in capsys.readouterr().out
    assert run("index", "search", index, "a red car", "--top", "3", "--json") == 0
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(hits) == 3
    assert hits[0]["similarity"] >= hits[2]["similarity"]
    assert run("index", "search", index, photos / "4.png", "--top", "1") == 0
    assert capsys.readouterr().out.split() == ["1.000", str(photos / "4.png")]

    Image.new("RGB", (20, 20), (9, 99, 9)).save(tmp_path / "green.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert run("index", "add", index, tmp_path / "green.png", tmp_path / "bad.png") == 1
    said = capsys.readouterr()
    assert "7 pictures (1 added, 0 unchanged, 0 removed)" in said.out
    assert "bad.png" in said.err
    (photos / "0.png").unlink()
    assert run("index", "build", photos, "--out", index, "--model", untrained) == 0
    assert "6 pictures (0 added, 5 unchanged, 1 removed)" in capsys.readouterr().out
    (photos / "0.png").symlink_to(photos / "gone")
    os.mkfifo(photos / "pipe.png")  # would be waited for
    assert run("index", "build", photos, "--out", index, "--model", untrained) == 1
    said = capsys.readouterr()
    assert "0.png" in said.err
    assert "pipe.png" not in said.err
    assert run("index", "search", index, "a dog", "--approximate", "--top", "9") == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_videos_are_found_by_models_that_take_them(
    untrained: Path,
    untrained_v1: Path,
    data: Path,
    write_video: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mixed"
    video = write_video(folder / "a.mp4", 7)
    write_video(folder / "below" / "b.mp4", 7, (1, 0, 0))
    shutil.copy(data / "images" / "0.png", folder / "c.png")
    for model, number in ((untrained, 1), (untrained_v1, 3)):
        index = tmp_path / model.name
        assert run("index", "build", folder, "--out", index, "--model", model) == 0
        assert f"{number} pictures ({number} added" in capsys.readouterr().out
    assert run("index", "search", index, video, "--top", "1") == 0
    assert capsys.readouterr().out.split() == ["1.000", str(video)]
    assert run("index", "search", index, "a red car", "--top", "9") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    (tmp_path / "words.mp4").write_text("no video")
    assert run("index", "add", index, video, tmp_path / "words.mp4") == 1
    said = capsys.readouterr()
    assert "(0 added, 1 unchanged" in said.out
    assert "cannot read the video" in said.err


def test_mistakes_are_named(untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["index", "search", tmp_path, "a dog"], "is not an index"),
        (["index", "search", tmp_path, "gone.jpg"], "no picture gone.jpg"),
        (["index", "build", tmp_path / "none", "--out", tmp_path / "i", "--model", untrained], "not a folder"),
        (["index", "build", tmp_path, "--out", untrained, "--model", untrained], "not empty and not an index"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
