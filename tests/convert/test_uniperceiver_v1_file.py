"""Release files are read without executing what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile, ReleaseFileError

TENSORS = {"fused_encoder.layers.0.gamma_1": torch.ones(4)}


class Harmful:
    """What a pickle may hold: unpickling it in the usual way would create a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


class LossScaler:
    """An object of a class, as DeepSpeed keeps one."""

    def __init__(self) -> None:
        self.scale = 65536.0


@pytest.mark.parametrize(
    ("content", "container"), [(TENSORS, "bare"), ({"model": TENSORS, "iteration": 5}, "training")]
)
def test_containers_are_recognised(content: dict[str, Any], container: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pth")
    release = ReleaseFile.read(tmp_path / "file.pth")
    assert (release.container, release.is_raw, list(release.tensors)) == (container, False, list(TENSORS))
    assert release.beside == (("iteration",) if container == "training" else ())


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "file.safetensors")
    assert ReleaseFile.read(tmp_path / "file.safetensors").tensors.keys() == TENSORS.keys()


def test_names_that_data_parallelism_gave_lose_their_prefix(tmp_path: Path) -> None:
    wrapped = {f"module.{name}": tensor for name, tensor in TENSORS.items()} | {"module.visual_embed.x": torch.ones(1)}
    torch.save({"model": wrapped}, tmp_path / "file.pth")
    release = ReleaseFile.read(tmp_path / "file.pth")
    assert (release.container, release.is_raw, list(release.tensors)) == ("training", False, list(TENSORS))
    assert release.names == {name: f"module.{name}" for name in TENSORS}
    assert release.dropped == ("module.visual_embed.x",)


def test_the_format_before_pytorch_1_6_is_named(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ReleaseFileError, match=r"before version 1\.6.*torch\.save\(torch\.load\('old\.pth'.*'new_old"):
        ReleaseFile.read(tmp_path / "old.pth")


def test_objects_beside_the_tensors_are_not_made(tmp_path: Path) -> None:
    created = tmp_path / "created"
    content = {"module": {"encoder.layers.0.attention_output.residual_scale": torch.ones(1, 1, 4).half()}}
    torch.save(content | {"optimizer": LossScaler(), "harmful": Harmful(str(created))}, tmp_path / "file.pt")
    release = ReleaseFile.read(tmp_path / "file.pt")
    assert not created.exists()
    assert release.is_raw
    assert release.tensors["fused_encoder.layers.0.gamma_1"].shape == (4,)
    assert release.tensors["fused_encoder.layers.0.gamma_1"].dtype == torch.float32
    assert release.beside == ("optimizer", "harmful")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint file"):
        ReleaseFile.read(tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ReleaseFileError, match="cannot be read without executing"):
        ReleaseFile.read(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ReleaseFileError, match="holds a list"):
        ReleaseFile.read(tmp_path / "list.pth")
    with pytest.raises(ReleaseFileError, match="begins with fused_encoder"):
        ReleaseFile.from_content({"backbone.conv.weight": torch.zeros(1)})
    with pytest.raises(ReleaseFileError, match="expected tensors"):
        ReleaseFile.from_content({"epoch": 3})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "the file holds nothing: expected tensors"),
        ({"model": None}, "holds a NoneType under 'model': expected tensors"),
        ({"model": TENSORS | {"epoch": 3}}, "holds 'epoch', a int, under 'model': expected tensors by name alone"),
        ({"model": TENSORS | {7: torch.ones(1)}}, "holds 7, a Tensor, under 'model'"),
        ({"module": {"model": TENSORS}}, "holds 'model', a dict, under 'module'"),
        ({"state_dict": TENSORS}, "holds 'state_dict', a dict, among others: .*save the model's state dict alone"),
        ({"fused_encoder.n": torch.ones(1, dtype=torch.int64)}, r"fused_encoder\.n has numbers of torch\.int64"),
    ],
)
def test_contents_that_are_no_tensors_by_name_are_named(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ReleaseFileError, match=message):
        ReleaseFile.from_content(content)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    torch.save({"fused_encoder.n": torch.ones(1000)}, tmp_path / "whole.pth")
    cut = (tmp_path / "whole.pth").read_bytes()[:2000]
    for name, content in (("cut.pth", cut), ("broken.safetensors", b"no header at all")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReleaseFileError, match=rf"{name} .*replace it"):
            ReleaseFile.read(tmp_path / name)
