"""Fine-tuning modes: what is trained, the table of it, the adapter file, and merging."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from uniperceiver import cli
from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import ModelConfig, TaskConfig, TrainConfig, TuneConfig, load_config, load_train_config
from uniperceiver.convert.uniperceiver_v1_keys import to_official
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting
from uniperceiver.training.adapting import (
    add_heads,
    fix_temperature,
    freeze,
    merge,
    prepare,
    trained_counts,
    trained_table,
)
from uniperceiver.training.train import train


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
    assert "g.spe" in trained["prompt"]
    others = trained["prompt"] - {"g.spe"}
    assert {".prompts." in name or "norm" in name or "ln_post" in name for name in others} == {True}
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


def test_a_fixed_temperature_is_that_of_all_tasks_and_not_learnt(
    tiny_model_config: ModelConfig, tiny_v1_config: ModelConfig
) -> None:
    for config in (tiny_model_config, tiny_v1_config):
        model = UniPerceiver(config)
        fix_temperature(model, 0.03)
        groups = config.temperatures or (None,)
        assert [model.temperature(group).item() for group in groups] == pytest.approx([0.03] * len(groups))
        fixed = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
        assert len(fixed) == len(groups)


def test_updates_are_not_stacked(tiny_model_config: ModelConfig) -> None:
    model = tuned(tiny_model_config, TuneConfig("lora"))
    with pytest.raises(ValueError, match="merge"):
        prepare(model, TuneConfig("lora"))


def test_prompt_tuning_of_v1_trains_what_table_9_counts() -> None:
    """App. C of the v1 paper, Tab. 9: 768 of <SPE>, 41,472 of norms, 184,320 of prompts; 227K without a head.

    The official names have the embeddings' norm, which pictures and texts share, twice, and so has the table.
    """
    with torch.device("meta"):
        model = UniPerceiver(load_config("v1_base"))
        prepare(model, TuneConfig("prompt"))
    freeze(model, TuneConfig("prompt"))
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    counted: Counter[str] = Counter()
    for theirs, ours in to_official(trained, packed_attention=True).items():
        if theirs != "token_embed.s_token_bias":  # another spelling of s_token_bias
            kind = "prompts" if "prompt" in theirs else "<SPE>" if "token_bias" in theirs else "norms"
            counted[kind] += trained[ours]
    assert counted == {"<SPE>": 768, "norms": 41_472, "prompts": 184_320}
    assert sum(counted.values()) == 226_560
    assert sum(trained.values()) == 226_560 - 2 * 768  # the shared norm once


def test_a_linear_head_belongs_to_the_classes_of_a_stream(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> None:
    model = UniPerceiver(tiny_model_config)
    setting = TaskSetting(TaskConfig("classification"), tokenizer, tiny_model_config.pixels)
    names = ("red car", "blue ball")
    tasks = [build_task(setting, CandidateSet.from_texts(names, tokenizer)) for _ in range(2)]
    pairs = TaskSetting(TaskConfig("retrieval"), tokenizer, tiny_model_config.pixels)
    tasks.append(build_task(pairs, CandidateSet.from_texts((), tokenizer)))
    prepare(model, TuneConfig("prompt"))
    add_heads(model, TuneConfig("prompt", linear_head=False), tasks)
    assert not model.heads
    add_heads(model, TuneConfig("prompt"), tasks)
    add_heads(model, TuneConfig("prompt"), tasks)  # as after an interruption
    assert [head.classes for head in model.config.heads] == [names]
    assert model.head_for(names) is model.heads[0]
    assert model.head_for(names[::-1]) is None
    freeze(model, TuneConfig("prompt"))
    assert all(p.requires_grad for p in model.heads.parameters())
    assert trained_counts(model)["heads"] == (2 * 40 + 2 + 1,) * 2


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    schedule = replace(config.schedule, steps=2)
    return replace(config, streams={"folders": config.streams["folders"]}, schedule=schedule)


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


def test_there_is_nothing_to_merge_without_updates(tiny_model_config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="no low-rank updates"):
        merge(tuned(tiny_model_config, TuneConfig("prompt")))
