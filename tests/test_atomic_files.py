"""What is interrupted leaves what was there before."""

from __future__ import annotations

from pathlib import Path

import pytest

from uniperceiver.atomic_files import (
    name_while_replaced,
    name_while_written,
    replace_folder,
    write_whole,
    written_whole,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def folder_with(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with written_whole(path) as fresh:
        fresh.write_text("ne")
        assert path.read_text() == "old"
        fresh.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == {"file.json"}


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")

    def write() -> None:
        with written_whole(path) as fresh:
            fresh.write_text("ne")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write()
    assert path.read_text() == "old"


def test_bytes_are_written_with_the_folders_around_them(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == {"file"}


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", "old")
    folder_with(name_while_replaced(folder), "left by an interruption")
    replace_folder(folder_with(name_while_written(folder), "new"), folder)
    assert (folder / "file").read_text() == "new"
    assert names(tmp_path) == {"model"}


def test_the_old_folder_is_whole_when_the_renaming_stops_halfway(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", "old")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", folder)
    assert not folder.exists()
    assert (name_while_replaced(folder) / "file").read_text() == "old"
