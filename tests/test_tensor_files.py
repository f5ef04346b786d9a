"""Files of tensors: what is in them, and who may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uniperceiver.tensor_files import save_tensors


def test_tensors_of_any_layout(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    save_tensors({"turned": tensor.T}, tmp_path / "a.safetensors", {"of": "a test"})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["turned"], tensor.T)


@pytest.mark.skipif(os.name == "nt", reason="permissions are not the file's there")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save_tensors({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o666 & ~mask


def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.touch(0o600)
    save_tensors({"a": torch.zeros(2)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
