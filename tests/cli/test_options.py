"""What several commands understand by a model's name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from uniperceiver.cli.options import found_model


def test_a_local_checkpoint_called_like_a_preset_is_found_by_a_path_that_no_preset_has(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nano").mkdir()
    assert found_model("nano") == "nano"  # the preset: the folder is no checkpoint
    shutil.copytree(untrained, "nano", dirs_exist_ok=True)
    assert found_model("nano") == str(tmp_path / "nano")
    assert found_model("./nano") == str(tmp_path / "nano")
