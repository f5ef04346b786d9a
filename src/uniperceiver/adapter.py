"""Adapter files: what ``tune`` has trained, alone in a file, and put back onto the untouched model.

One safetensors file. Its header says what is added to the model (low-rank updates, prompts, a bias of <SPE>, linear
heads) and which tasks it was trained for; its tensors are everything that was trained, under the model's names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from uniperceiver.atomic_files import written_whole
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import ModelConfig, WordEmbeddingConfig, from_data, to_data
from uniperceiver.load_report import compare
from uniperceiver.model.extending import extend
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask, tasks_from_data, tasks_to_data
from uniperceiver.tensor_files import save_tensors

ADAPTER = "adapter.safetensors"
"""Its name beside a checkpoint."""


def save_adapter(
    model: UniPerceiver, weights: Mapping[str, Tensor], tasks: Mapping[str, StoredTask], path: Path
) -> None:
    """Write the parameters of ``model`` that are trained, and nothing else, into one file.

    ``weights`` is the model's whole state dict; ``tasks`` are those that it was tuned for.
    """
    tuned = {name: weights[name].detach().cpu() for name, p in model.named_parameters() if p.requires_grad}
    header = {"adapter": json.dumps(_additions(model.config)), "tasks": json.dumps(tasks_to_data(tasks))}
    with written_whole(path) as fresh:
        save_tensors(tuned, fresh, header)


def load_adapter(model: UniPerceiver, path: Path) -> dict[str, StoredTask]:
    """Put an adapter file onto the model it was trained from, in place; the tasks it was tuned for.

    Raises:
        ValueError: not an adapter file, a model that is adapted already, or tensors that do not fit the model; it is
            unchanged.
    """
    header, tensors = _read(path)
    tasks = tasks_from_data(json.loads(header["tasks"]), path)
    if model.config.decoder.lora is not None or model.config.decoder.prompts is not None:
        raise ValueError(f"{path} belongs onto the model it was trained from, but this one is adapted already")
    config = _with_additions(model.config, json.loads(header["adapter"]), str(path))
    with torch.device("meta"):
        expected = UniPerceiver(config).state_dict()
    report = compare(tensors, expected)
    if report.surplus or report.misshaped:
        raise ValueError(f"{path} does not fit the model:\n{replace(report, missing=()).problems()}")
    extend(model, config)
    model.load_state_dict(tensors, strict=False)  # the rest is the base's
    return tasks


def adapted(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """A checkpoint with an adapter file put onto its model, in place.

    Its tasks replace those of the same kind: prompts for one list of classes are of no use for another.

    Raises:
        ValueError: as `load_adapter`.
    """
    tasks = load_adapter(checkpoint.model, path)
    kinds = {task.config.kind for task in tasks.values()}
    others = {name: task for name, task in checkpoint.tasks.items() if task.config.kind not in kinds}
    return replace(checkpoint, tasks=others | tasks)


def _additions(config: ModelConfig) -> dict[str, Any]:
    """What a configuration has that its base has not."""
    text = config.text
    return {
        "lora": None if config.decoder.lora is None else to_data(config.decoder.lora),
        "prompts": None if config.decoder.prompts is None else to_data(config.decoder.prompts),
        "spe_bias": isinstance(text, WordEmbeddingConfig) and text.spe_bias,
        "heads": [to_data(head) for head in config.heads],
    }


def _with_additions(config: ModelConfig, added: dict[str, Any], source: str) -> ModelConfig:
    data = to_data(config)
    data["decoder"] |= {"lora": added["lora"], "prompts": added["prompts"]}
    if added["spe_bias"]:
        data["text"]["spe_bias"] = True
    return from_data(ModelConfig, data | {"heads": added["heads"]}, source)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of an adapter file."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise ValueError(f"no adapter file {path}: training with tune.mode lora or prompt writes {ADAPTER}") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not an adapter file, or broken: {error}") from None
    if not {"adapter", "tasks"} <= set(header):
        raise ValueError(f"{path} is not an adapter file: its header does not say what it adds to a model")
    return header, tensors
