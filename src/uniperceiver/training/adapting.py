"""Which weights a training adapts (``tune``), and a table of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from rich.table import Table
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from uniperceiver.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from uniperceiver.config import LoraConfig, PromptConfig, TuneConfig, UnifiedDecoderConfig, from_data, to_data
from uniperceiver.load_report import compare
from uniperceiver.model.conditional_moe import AttributeGate
from uniperceiver.model.low_rank import LowRankUpdate, add_low_rank_updates, merge_low_rank_updates
from uniperceiver.model.prompts import DeepPrompts, add_prompts
from uniperceiver.model.uni_perceiver import UniPerceiver, part_of


def prepare(model: UniPerceiver, tune: TuneConfig) -> None:
    """Add to a model what ``tune`` trains beside its weights, in place and in its configuration.

    Raises:
        ValueError: the model has such updates or prompts already.
    """
    decoder = model.config.decoder
    if tune.mode == "lora":
        if decoder.lora is not None:
            raise ValueError("the model to start from has low-rank updates already: merge them first")
        lora = LoraConfig(tune.rank, tune.alpha)
        add_low_rank_updates(model.g, lora)
        model.config = replace(model.config, decoder=replace(decoder, lora=lora))
    elif tune.mode == "prompt":
        if decoder.prompts is not None:
            raise ValueError(
                "the model to start from has prompts already: train them with tune.mode full or start anew"
            )
        prompts = PromptConfig(tune.prompts, tune.target_prompts)
        add_prompts(model.g, prompts)
        model.config = replace(model.config, decoder=replace(decoder, prompts=prompts))


def freeze(model: UniPerceiver, tune: TuneConfig) -> None:
    """Leave gradients only to what ``tune`` trains.

    ``full`` leaves the model as its configuration says. ``frozen`` trains g and the temperature; ``lora`` the low-rank
    updates alone; ``prompt`` the prompts and, as v1 does, the norms of g but those of the gates
    (spec/uni_perceiver_v1_moe.md, 2.8). In both the temperature stays.
    """
    if tune.mode == "full":
        return
    if tune.mode == "frozen":
        model.f_image.requires_grad_(False)
        model.f_text.requires_grad_(False)
        return
    trained: Iterable[nn.Module]
    if tune.mode == "lora":
        trained = [module for module in model.g.modules() if isinstance(module, LowRankUpdate)]
    else:
        in_gates = {part for gate in model.g.modules() if isinstance(gate, AttributeGate) for part in gate.modules()}
        kinds = (DeepPrompts, nn.LayerNorm)
        trained = [module for module in model.g.modules() if isinstance(module, kinds) and module not in in_gates]
    model.requires_grad_(False)
    for module in trained:
        module.requires_grad_(True)


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


def save_adapter(model: UniPerceiver, weights: Mapping[str, Tensor], path: Path) -> None:
    """Write what was trained, and nothing else, into one safetensors file: `load_adapter` puts it onto the same base.

    ``weights`` is the model's whole state dict. The configuration of the updates or prompts lies in the file's header.
    """
    tuned = {name: weights[name].detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    decoder = model.config.decoder
    header = {
        "lora": json.dumps(None if decoder.lora is None else to_data(decoder.lora)),
        "prompts": json.dumps(None if decoder.prompts is None else to_data(decoder.prompts)),
    }
    fresh = path.with_name(f".{path.name}.writing")
    save_file(tuned, fresh, metadata=header)
    fresh.replace(path)


def load_adapter(model: UniPerceiver, path: Path) -> None:
    """Put an adapter file onto the model it was trained from, in place.

    Raises:
        ValueError: not an adapter file, a model that is adapted already, or tensors that do not fit the model; it is
            unchanged.
    """
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if not {"lora", "prompts"} <= set(header):
        raise ValueError(f"{path} is not an adapter file: its header names neither updates nor prompts")
    decoder = model.config.decoder
    if decoder.lora is not None or decoder.prompts is not None:
        raise ValueError(f"{path} belongs onto the model it was trained from, but this one is adapted already")
    added = {name: json.loads(header[name]) for name in ("lora", "prompts")}
    with torch.device("meta"):
        adapted = UniPerceiver(
            replace(model.config, decoder=from_data(UnifiedDecoderConfig, to_data(decoder) | added, str(path)))
        )
    report = compare(tensors, adapted.state_dict())
    if report.surplus or report.misshaped:
        raise ValueError(f"{path} does not fit the model:\n{replace(report, missing=()).problems()}")
    decoder = adapted.config.decoder
    if decoder.lora is not None:
        add_low_rank_updates(model.g, decoder.lora)
    if decoder.prompts is not None:
        add_prompts(model.g, decoder.prompts)
    model.config = adapted.config
    model.load_state_dict(tensors, strict=False)  # the rest is the base's


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
        load_adapter(checkpoint.model, adapter)
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
