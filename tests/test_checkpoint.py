"""A checkpoint is a folder that is always whole."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uniperceiver.checkpoint import (
    BestSoFar,
    Checkpoint,
    CheckpointError,
    TrainingState,
    load_checkpoint,
    load_training_state,
    recover,
    save_checkpoint,
)
from uniperceiver.config import ConfigError, FrameSamplingConfig, LinearHeadConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask


@pytest.fixture
def checkpoint(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Checkpoint:
    tasks = {
        "names": StoredTask(TaskConfig("classification"), texts=("red car", "yes", "007")),
        "words": StoredTask(TaskConfig("captioning"), token_ids=(3, 7)),
        "videos": StoredTask(TaskConfig("retrieval"), sampling=FrameSamplingConfig(4, stride=32, start="first")),
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
    with pytest.raises(CheckpointError, match=r"is whole: no space"):
        save_checkpoint(checkpoint, folder)
    assert torch.equal(load_checkpoint(folder).model.g.proj.bias, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on files")
def test_a_disk_without_room_costs_no_earlier_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """No file may grow beyond 64 KiB: the writing itself fails, as on a full disk."""
    import resource

    folder = tmp_path / "model"
    save_checkpoint(checkpoint, folder)
    before = (folder / "model.safetensors").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            save_checkpoint(checkpoint, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    load_checkpoint(folder)


def test_only_a_checkpoint_is_replaced(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    save_checkpoint(checkpoint, tmp_path / "photos")  # nothing was in it
    save_checkpoint(checkpoint, tmp_path / "photos")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "photo.jpg").touch()
    for place in (tmp_path / "others", tmp_path / "others" / "photo.jpg"):
        with pytest.raises(CheckpointError, match="is there and no checkpoint"):
            save_checkpoint(checkpoint, place)
    assert (tmp_path / "others" / "photo.jpg").is_file()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["others", "photos"]


def test_the_average_is_loaded_in_place_of_the_weights(checkpoint: Checkpoint, tmp_path: Path) -> None:
    average = {"g.proj.bias": torch.full_like(checkpoint.model.g.proj.bias, 3.0)}
    state = TrainingState(5, 1.5, {}, torch.get_rng_state()[None], BestSoFar(0.5, 4, 1), average)
    save_checkpoint(Checkpoint(checkpoint.model, checkpoint.tokenizer, state=state), tmp_path / "model")
    averaged, plain = (load_checkpoint(tmp_path / "model", average=which).model for which in (True, False))
    assert torch.equal(averaged.g.proj.bias, average["g.proj.bias"])
    assert torch.equal(plain.g.proj.bias, checkpoint.model.g.proj.bias)
    assert torch.equal(averaged.g.proj.weight, plain.g.proj.weight)
    assert load_training_state(tmp_path / "model").best == BestSoFar(0.5, 4, 1)
    save_checkpoint(checkpoint, tmp_path / "without")
    with pytest.raises(CheckpointError, match="no moving average"):
        load_checkpoint(tmp_path / "without", average=True)


def test_a_stop_between_the_two_renames_is_mended(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_checkpoint(checkpoint, folder)
    folder.rename(tmp_path / ".model.old")
    assert load_checkpoint(folder).tasks == checkpoint.tasks
    assert not folder.exists(), "who only reads moves nothing: a training may be between the two"
    recover(folder)
    recover(folder)
    assert load_checkpoint(folder).tasks == checkpoint.tasks
    assert not (tmp_path / ".model.old").exists()


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
    tasks = (folder / "tasks.yaml").read_text()
    (folder / "tasks.yaml").write_text("- photos\n")
    with pytest.raises(ConfigError, match=r"tasks\.yaml should name tasks"):
        load_checkpoint(folder)
    (folder / "tasks.yaml").write_text(tasks)
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
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged, or not .* --init-from$"):
        load_training_state(folder)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"not a file of PyTorch"])
def test_a_damaged_training_state_is_an_error(checkpoint: Checkpoint, tmp_path: Path, content: bytes) -> None:
    save_checkpoint(checkpoint, tmp_path / "model")
    (tmp_path / "model" / "state.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged"):
        load_training_state(tmp_path / "model")


def test_classes_of_one_name_stay_apart_where_a_linear_head_tells_them(checkpoint: Checkpoint) -> None:
    """ImageNet has two classes called crane; without a head their candidates are one."""
    twice = ("crane", "dog", "crane")
    tasks = {"names": StoredTask(TaskConfig("classification"), texts=twice)}
    plain = replace(checkpoint, tasks=tasks)
    assert plain.task_of("classification") == StoredTask(TaskConfig("classification"), texts=("crane", "dog"))
    headed = UniPerceiver(replace(checkpoint.model.config, heads=(LinearHeadConfig(twice),)))
    assert replace(plain, model=headed).task_of("classification") == tasks["names"]
