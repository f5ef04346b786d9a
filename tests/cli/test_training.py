"""What the command ``train`` makes of its configuration, its data and its model; ``merge``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from uniperceiver import cli
from uniperceiver.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from uniperceiver.config import ModelConfig, TrainConfig, load_train_config
from uniperceiver.predictor import model_folders


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The trainings that the command line asks for, in place of doing them."""
    settings: list[TrainConfig] = []

    def train(config: TrainConfig, folder: Path, resume: bool, device: str) -> Path:
        settings.append(config)
        return folder / "checkpoint"

    monkeypatch.setattr("uniperceiver.training.train.train", train)
    return settings


@pytest.fixture
def packaged(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint named nano, as one that comes with the package."""
    monkeypatch.setattr(model_folders, "PACKAGED", tmp_path / "packaged")
    save_checkpoint(replace(checkpoint, tasks={}), tmp_path / "packaged" / "nano")
    return tmp_path / "packaged" / "nano"


@pytest.fixture
def rte(tmp_path: Path) -> list[str]:
    """Options that fill the configuration ``glue``, but for the model, as its documentation gives them."""
    rows = [f"{i}\ta red car {i}.\ta green tree\t{('not_entailment', 'entailment')[i % 2]}" for i in range(4)]
    file = tmp_path / "rte.tsv"
    file.write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]))
    values = ["--set", "task=rte", "--set", "steps=1", "--set", "rate=2.0e-5"]
    return [*values, "--path", f"train={file}", "--path", f"dev={file}"]


def test_values_beside_paths(
    rte: list[str], tiny_v1_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path
) -> None:
    model = write_model(tiny_v1_config, tmp_path)
    assert run("train", "glue", "--out", tmp_path / "run", "--model", model, *rte) == 0
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").is_file()
    report = tmp_path / "zero_shot.json"
    assert run("evaluate", tmp_path / "run", "--config", "glue", "--out", report, *rte) == 0
    assert report.is_file()


def test_fine_tuning_starts_from_every_kind_of_model(
    asked: list[TrainConfig], train_yaml: Path, untrained: Path, packaged: Path, data: Path, tmp_path: Path
) -> None:
    """A preset, a YAML, a checkpoint, the folder of a training, a packaged checkpoint; by --set as well."""
    save_checkpoint(load_checkpoint(untrained), tmp_path / "trained" / "checkpoint")
    starts = {
        "nano": "nano",
        tmp_path / "model.yaml": str(tmp_path / "model.yaml"),
        untrained: str(untrained),
        tmp_path / "trained": str(tmp_path / "trained" / "checkpoint"),
        "packaged:nano": str(packaged),
    }
    options = ["--path", f"train={data}/instances.json", "--path", f"val={data}/instances.json"]
    options += ["--path", f"images={data}/images"]
    for model in starts:
        assert run("train", "finetune", "--out", tmp_path / "x", "--model", model, *options) == 0
    assert [settings.model for settings in asked] == list(starts.values())
    assert run("train", "finetune", "--out", tmp_path / "x", "--set", "model=packaged:nano", *options) == 0
    assert asked[-1].model == str(packaged)


def test_a_packaged_model_is_fine_tuned_with_low_rank_updates_and_merged(
    packaged: Path, train_yaml: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--model is the start, whatever model the configuration names."""
    out, merged = tmp_path / "adapted", tmp_path / "merged"
    options = ["--path", f"root={data}", "--minutes", "0.01", "--tune", "lora"]
    assert run("train", train_yaml, "--out", out, "--model", "packaged:nano", *options) == 0
    assert f"starts from {packaged}" in capsys.readouterr().out
    assert run("merge", "nano", "--adapter", out / "adapter.safetensors", "--out", merged) == 0
    assert run("merge", out, "--out", tmp_path / "same") == 0
    base, put, same = (load_checkpoint(folder).model for folder in (packaged, merged, tmp_path / "same"))
    assert put.config == base.config
    assert put.f_image.state_dict().keys() == base.f_image.state_dict().keys()
    assert all(value.equal(same.state_dict()[name]) for name, value in put.state_dict().items())
    assert all(value.equal(base.f_image.state_dict()[name]) for name, value in put.f_image.state_dict().items())


@pytest.mark.parametrize("mode", ["lora", "prompt"])
def test_what_nobody_trained_is_not_adapted(
    mode: str,
    asked: list[TrainConfig],
    train_yaml: Path,
    untrained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--out", tmp_path / "x", "--path", f"root={data}", "--tune", mode]
    assert run("train", train_yaml, *options) == 2
    assert f"--tune {mode} adapts a trained model, but {tmp_path / 'model.yaml'} is" in capsys.readouterr().err
    assert not asked
    assert run("train", train_yaml, *options, "--init-from", "weights.safetensors") == 0
    assert run("train", train_yaml, *options, "--model", untrained) == 0
    assert run("train", train_yaml, *options[:-1], "frozen") == 0
    assert len(asked) == 3


def test_a_resumed_training_keeps_the_model_it_began_with(
    asked: list[TrainConfig],
    checkpoint: Checkpoint,
    untrained: Path,
    train_yaml: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun = replace(load_train_config(str(train_yaml), {"root": str(data)}), model=str(untrained))
    save_checkpoint(replace(checkpoint, training=begun), tmp_path / "run" / "checkpoint")
    options = ["--out", tmp_path / "run", "--path", f"root={data}", "--resume"]
    assert run("train", train_yaml, *options) == 0
    assert run("train", train_yaml, *options, "--model", untrained) == 0
    assert [settings.model for settings in asked] == [str(untrained)] * 2
    assert run("train", train_yaml, *options, "--model", "nano") == 2
    assert f"began with {untrained}" in capsys.readouterr().err


def test_resuming_with_data_goes_on_with_these_data_or_says_that_it_cannot(
    asked: list[TrainConfig], untrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", tmp_path / "run", "--model", untrained]
    folders = ["--data", data / "folders"]
    assert run("train", *folders, *options) == 0
    assert run("train", *folders, *options, "--resume") == 0
    assert run("train", "--out", tmp_path / "run", "--resume") == 0
    assert len({settings.model for settings in asked}) == 1
    assert asked[0].streams == asked[1].streams == asked[2].streams
    capsys.readouterr()
    assert run("train", "--data", data / "captions.json", *options, "--resume") == 2
    assert "is of another training: go on with that by --resume without --data" in capsys.readouterr().err
    assert run("train", "realdata", *folders, *options, "--resume") == 2
    assert "either a configuration or --data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--path", "task=rte"],
            "--path task: rte does not exist; what is no file or folder is given by --set task=rte",
        ),
        (["--set", "task"], "--set wants NAME=VALUE, got 'task'"),
        (["--set", "steps=1", "--set", "steps=2"], "--set steps is given twice: 1 and 2"),
        (["--set", "train=x", "--path", "train=."], "train is given by --path and by --set"),
        (["--model", "nanoo"], "Presets, without training, are nano,"),
        ([], "glue needs dev, model, rate, steps, task, train: give --path dev=… --set model=…"),
    ],
)
def test_mistakes_say_what_to_write(
    options: list[str], message: str, rte: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = rte if options[:1] == ["--model"] else []
    assert run("train", "glue", "--out", tmp_path / "x", *options, *rest) == 2
    assert message in capsys.readouterr().err
