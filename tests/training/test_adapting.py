"""Fine-tuning modes: what is trained, the table of it, the adapter file, and merging."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from uniperceiver import cli
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import ModelConfig, TrainConfig, TuneConfig, load_train_config
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.training.adapting import freeze, load_adapter, merge, prepare, trained_counts, trained_table
from uniperceiver.training.train import initial, train


def tuned(config: ModelConfig, tune: TuneConfig) -> UniPerceiver:
    model = UniPerceiver(config)
    prepare(model, tune)
    freeze(model, tune)
    return model


def test_each_mode_trains_what_it_says(tiny_model_config: ModelConfig) -> None:
    trained = {
        mode: {n for n, p in tuned(tiny_model_config, TuneConfig(mode)).named_parameters() if p.requires_grad}
        for mode in ("full", "frozen", "lora", "prompt")
    }
    assert any(name.startswith("f_text.") for name in trained["full"])
    assert {name.split(".")[0] for name in trained["frozen"]} == {"g", "log_inverse_temperature"}
    assert all(name.endswith((".0.down", ".0.up")) for name in trained["lora"])
    assert {".prompts." in name or "norm" in name or "ln_post" in name for name in trained["prompt"]} == {True}
    assert not any("gate" in name or name.startswith("f_") for name in trained["prompt"])
    assert any(".prompts." in name for name in trained["prompt"])


def test_the_table_counts_every_parameter_once(tiny_model_config: ModelConfig) -> None:
    tune = TuneConfig("lora", rank=2)
    model = tuned(tiny_model_config, tune)
    counts = trained_counts(model)
    assert sum(every for every, _ in counts.values()) == sum(p.numel() for p in model.parameters())
    assert counts["g: low-rank updates"][0] == counts["g: low-rank updates"][1] > 0
    assert all(trained == 0 for part, (_, trained) in counts.items() if part != "g: low-rank updates")
    console = Console(record=True, width=100)
    console.print(trained_table(model, tune))
    assert "low-rank updates" in console.export_text()


def test_updates_are_not_stacked(tiny_model_config: ModelConfig) -> None:
    model = tuned(tiny_model_config, TuneConfig("lora"))
    with pytest.raises(ValueError, match="merge"):
        prepare(model, TuneConfig("lora"))


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    schedule = replace(config.schedule, steps=2)
    return replace(config, streams={"folders": config.streams["folders"]}, schedule=schedule)


@pytest.mark.parametrize("mode", ["lora", "prompt"])
def test_the_adapter_alone_on_the_base_is_the_trained_model(mode: str, config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, tune=TuneConfig(mode, rank=2, prompts=2))
    trained = load_checkpoint(train(config, tmp_path / "run")).model
    adapter = tmp_path / "run" / "adapter.safetensors"
    base = initial(replace(config, tune=TuneConfig())).model
    load_adapter(base, adapter)
    assert base.config == trained.config
    for name, tensor in trained.state_dict().items():
        assert torch.equal(base.state_dict()[name], tensor), name
    weights = tmp_path / "run" / "checkpoint" / "model.safetensors"
    assert adapter.stat().st_size < weights.stat().st_size / 4
    with pytest.raises(ValueError, match="adapted already"):
        load_adapter(base, adapter)
    with pytest.raises(ValueError, match="not an adapter file"):
        load_adapter(initial(replace(config, tune=TuneConfig())).model, weights)
    if mode == "lora":
        merge(base)
        assert base.config.decoder.lora is None
        assert set(base.state_dict()) == set(UniPerceiver(base.config).state_dict())
    else:
        with pytest.raises(ValueError, match="no low-rank updates"):
            merge(base)


def test_the_command_merges_a_checkpoint_or_an_adapter_on_its_base(config: TrainConfig, tmp_path: Path) -> None:
    base = train(config, tmp_path / "base")
    lora = replace(config, model=str(base), tune=TuneConfig("lora", rank=2))
    trained = train(lora, tmp_path / "lora")
    adapter = ["--adapter", str(tmp_path / "lora" / "adapter.safetensors")]
    for name, arguments in (("merged", [str(trained)]), ("put", [str(base), *adapter])):
        with pytest.raises(SystemExit) as ended:
            cli.main(["merge", *arguments, "--out", str(tmp_path / name)])
        assert not ended.value.code
    merged, put = (load_checkpoint(tmp_path / name) for name in ("merged", "put"))
    assert merged.model.config == load_checkpoint(base).model.config
    for name, tensor in merged.model.state_dict().items():
        assert torch.equal(put.model.state_dict()[name], tensor)
    assert not torch.equal(merged.model.g.proj.weight, load_checkpoint(base).model.g.proj.weight)
    with pytest.raises(SystemExit) as refused:
        cli.main(["merge", str(base), "--out", str(tmp_path / "again")])
    assert refused.value.code == 2
