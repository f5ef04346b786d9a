"""Which weights a training adapts (``tune``), a table of them, and low-rank updates merged for deployment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.table import Table
from torch import nn

from uniperceiver.adapter import adapted
from uniperceiver.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from uniperceiver.config import LinearHeadConfig, LoraConfig, PromptConfig, TuneConfig, WordEmbeddingConfig
from uniperceiver.model.conditional_moe import gate_modules
from uniperceiver.model.extending import extend
from uniperceiver.model.low_rank import LowRankUpdate, merge_low_rank_updates
from uniperceiver.model.prompts import DeepPrompts
from uniperceiver.model.uni_perceiver import UniPerceiver, part_of
from uniperceiver.model.word_embedding import WordEmbedding
from uniperceiver.tasks import HEADED_TASKS
from uniperceiver.tasks.task import Task


def prepare(model: UniPerceiver, tune: TuneConfig) -> None:
    """Add to a model what ``tune`` trains beside its weights, in place and in its configuration.

    `add_heads` adds the rest, when the classes are known.

    Raises:
        ValueError: the model has such updates or prompts already.
    """
    config, decoder = model.config, model.config.decoder
    if tune.mode == "lora":
        if decoder.lora is not None:
            raise ValueError("the model to start from has low-rank updates already: merge them first")
        extend(model, replace(config, decoder=replace(decoder, lora=LoraConfig(tune.rank, tune.alpha))))
    elif tune.mode == "prompt":
        if decoder.prompts is not None:
            raise ValueError(
                "the model to start from has prompts already: train them with tune.mode full or start anew"
            )
        prompts = PromptConfig(tune.prompts, tune.target_prompts)
        text = config.text
        if isinstance(text, WordEmbeddingConfig):
            text = replace(text, spe_bias=True)
        extend(model, replace(config, text=text, decoder=replace(decoder, prompts=prompts)))


def add_heads(model: UniPerceiver, tune: TuneConfig, tasks: Iterable[Task]) -> None:
    """With ``tune.linear_head``, a linear head for the classes of every classification task that has none yet."""
    if tune.mode != "prompt" or not tune.linear_head:
        return
    classes = {task.candidates.texts: None for task in tasks if task.setting.config.kind in HEADED_TASKS}
    heads = tuple(LinearHeadConfig(texts) for texts in classes if model.head_for(texts) is None)
    extend(model, replace(model.config, heads=(*model.config.heads, *heads)))


def freeze(model: UniPerceiver, tune: TuneConfig) -> None:
    """Leave gradients only to what ``tune`` trains.

    ``full`` leaves the model as its configuration says. ``frozen`` trains g and the temperature; ``lora`` the low-rank
    updates alone; ``prompt`` the prompts, <SPE>, the linear heads and the norms of g but those of the gates, as v1 does
    (its Tab. 9; spec/uni_perceiver_v1_moe.md, 2.8). In both the temperature stays.
    """
    if tune.mode == "full":
        return
    if tune.mode == "frozen":
        model.f_image.requires_grad_(False)
        model.f_text.requires_grad_(False)
        return
    model.requires_grad_(False)
    for parameter in _adapted(model, tune):
        parameter.requires_grad_(True)


def fix_temperature(model: UniPerceiver, temperature: float) -> None:
    """Give all tasks this τ, and leave it out of training."""
    for name, parameter in model.named_parameters():
        if part_of(name) == "temperature":
            nn.init.constant_(parameter, -math.log(temperature)).requires_grad_(False)


def _adapted(model: UniPerceiver, tune: TuneConfig) -> Iterator[nn.Parameter]:
    """What ``lora`` and ``prompt`` train."""
    if tune.mode == "lora":
        for module in model.g.modules():
            if isinstance(module, LowRankUpdate):
                yield from module.parameters()
        return
    gates = gate_modules(model.g)
    for module in model.g.modules():
        if isinstance(module, DeepPrompts | nn.LayerNorm) and module not in gates:
            yield from module.parameters()
    yield from model.heads.parameters()
    spe = model.f_text.spe_bias if isinstance(model.f_text, WordEmbedding) else model.g.spe
    assert spe is not None
    yield spe


def trained_table(model: UniPerceiver, tune: TuneConfig) -> Table:
    """A row for each part of the model: how many parameters it has, and how many of them are trained."""
    table = Table("part", "parameters", "trained", "share", title=f"trained with tune.mode {tune.mode}")
    counts = trained_counts(model)
    for part, (all_of_it, trained) in counts.items():
        table.add_row(part, f"{all_of_it:,}", f"{trained:,}", f"{trained / all_of_it:.1%}")
    every, trained = (sum(count[i] for count in counts.values()) for i in (0, 1))
    table.add_section()
    table.add_row("all", f"{every:,}", f"{trained:,}", f"{trained / every:.2%}")
    return table


def trained_counts(model: UniPerceiver) -> dict[str, tuple[int, int]]:
    """Part of the model → its parameters, and those of them that are trained. The parts are disjoint."""
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = _part(name)
        every, trained = counts.get(part, (0, 0))
        counts[part] = every + parameter.numel(), trained + parameter.requires_grad * parameter.numel()
    return counts


def _part(name: str) -> str:
    """The part of the model that a parameter is counted with; what was added to g is counted by itself."""
    part = part_of(name)
    if part == "g" and ".parametrizations.weight.0." in name:
        return "g: low-rank updates"
    return "g: prompts" if part == "g" and ".prompts." in name else part


def merge_checkpoint(folder: Path, out: Path, adapter: Path | None = None) -> Path:
    """Write the checkpoint in ``folder``, with an adapter file put onto it first, into ``out`` with its updates merged.

    Raises:
        CheckpointError: not a checkpoint, or ``out`` exists.
        ValueError: an adapter that does not fit, or nothing to put on or to merge.
    """
    if out.exists():
        raise CheckpointError(f"{out} exists already: choose another --out")
    checkpoint = load_checkpoint(folder)
    if adapter is not None:
        checkpoint = adapted(checkpoint, adapter)
    if adapter is None or checkpoint.model.config.decoder.lora is not None:
        merge(checkpoint.model)
    save_checkpoint(checkpoint, out)
    return out


def merge(model: UniPerceiver) -> None:
    """Write low-rank updates into the weights, in place, for deployment: a plain model that computes the same.

    Raises:
        ValueError: it has none.
    """
    if model.config.decoder.lora is None:
        raise ValueError("the model has no low-rank updates to merge (decoder.lora is null)")
    merge_low_rank_updates(model.g)
    model.config = replace(model.config, decoder=replace(model.config.decoder, lora=None))
