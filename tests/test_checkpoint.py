"""A checkpoint is a folder that is always whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from uniperceiver.checkpoint import (
    Checkpoint,
    CheckpointError,
    StoredTask,
    TrainingState,
    load_checkpoint,
    load_training_state,
    save_checkpoint,
)
from uniperceiver.config import ConfigError, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver


@pytest.fixture
def checkpoint(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Checkpoint:
    tasks = {
        "names": StoredTask(TaskConfig("classification"), texts=("red car", "yes", "007")),
        "words": StoredTask(TaskConfig("captioning"), token_ids=(3, 7)),
    }
    return Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks)


def test_what_is_saved_is_loaded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model")
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)
    assert loaded.model.config == checkpoint.model.config
    assert loaded.tasks == checkpoint.tasks
    assert loaded.tokenizer.encode("a red car") == checkpoint.tokenizer.encode("a red car")
    with pytest.raises(CheckpointError, match="no training state"):
        load_training_state(tmp_path / "model")
    assert loaded.training is None


def test_training_state_comes_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(checkpoint.model.parameters())
    state = TrainingState(5, 1.5, optimizer.state_dict(), torch.get_rng_state()[None])
    with_state = Checkpoint(checkpoint.model, checkpoint.tokenizer, state=state)
    save_checkpoint(with_state, tmp_path / "model")
    loaded = load_training_state(tmp_path / "model")
    assert (loaded.step, loaded.seconds) == (5, 1.5)
    assert torch.equal(loaded.random_states, state.random_states)


def test_an_interrupted_write_leaves_the_old_checkpoint(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    save_checkpoint(checkpoint, folder)
    before = checkpoint.model.g.proj.bias.detach().clone()
    with torch.no_grad():
        checkpoint.model.g.proj.bias.add_(1)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("uniperceiver.checkpoint._write_yaml", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(checkpoint, folder)
    assert torch.equal(load_checkpoint(folder).model.g.proj.bias, before)


def test_a_stop_between_the_two_renames_is_mended(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_checkpoint(checkpoint, folder)
    folder.rename(tmp_path / ".model.old")
    assert load_checkpoint(folder).tasks == checkpoint.tasks


def test_what_is_missing_or_wrong_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(CheckpointError, match=r"no config\.yaml"):
        load_checkpoint(tmp_path)
    save_checkpoint(checkpoint, folder)
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("attention_pools: 2", "attention_pools: 3"))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_checkpoint(folder)
    (folder / "config.yaml").write_text("image: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_checkpoint(folder)
    (folder / "config.yaml").write_text(config)
    (folder / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_checkpoint(folder)


def test_pickled_code_in_the_training_state_is_not_executed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))  # type: ignore[return-value]

    folder = tmp_path / "model"
    save_checkpoint(checkpoint, folder)
    torch.save({"step": Malicious()}, folder / "state.pt")
    with pytest.raises(CheckpointError, match=r"[Ww]eights"):
        load_training_state(folder)
    assert not (tmp_path / "touched").exists()
