"""Memory and communication of a training of `swin_large` on 64 GPUs, worked out from measured pieces.

    python benchmarks/scale_account.py [--processes 64] [--out account.json]

Counted exactly, without memory: parameters, and with them weights, gradients and moments, by the groups that FSDP2
shards. Measured on this machine: the bytes that pieces of the model keep for the backward pass (pictures of two sizes,
texts of two lengths, bfloat16 autocast), from which larger inputs follow in proportion. Worked out: what a step of each
kind of stream needs on a GPU, and what crosses the network in it. Nothing here is timed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MethodType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import load_config
from uniperceiver.model.conditional_moe import ConditionalPair
from uniperceiver.model.decoder_layer import DecoderLayer
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.model.unified_decoder import UnifiedDecoder
from uniperceiver.training import activation_checkpointing

GIB = 2**30
FLOAT = 4
VOCABULARY_TOKENS = 4
"""<SPE>, start, word, end."""
ATTRIBUTES = TaskAttributes(input_image=True, input_text=False)


def parameter_groups(model: UniPerceiver) -> dict[str, int]:
    """Parameters of the groups that FSDP2 shards: the largest of each kind, and the rest, which is one group."""
    sizes: dict[str, list[int]] = {"a layer of an encoder": [], "the experts of a feed-forward": []}
    for module in model.modules():
        is_layer = isinstance(module, activation_checkpointing.LAYERS) and not isinstance(module, DecoderLayer)
        if isinstance(module, ConditionalPair) or is_layer:
            kind = "a layer of an encoder" if is_layer else "the experts of a feed-forward"
            sizes[kind].append(sum(p.numel() for p in module.parameters()))
    every = sum(p.numel() for p in model.parameters())
    rest = every - sum(sum(of_kind) for of_kind in sizes.values())
    return {f"largest: {kind}": max(of_kind) for kind, of_kind in sizes.items()} | {"the rest": rest, "all": every}


def kept_bytes(module: nn.Module, run: Callable[[], object]) -> int:
    """Bytes that autograd keeps between forward and backward pass, each storage once, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    storages: dict[int, int] = {}
    alive: list[Tensor] = []  # a freed storage's address could come again

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        run()
    return sum(storages.values())


class Piece(NamedTuple):
    """Bytes kept for n inputs of a size: once + n (each + slope · size)."""

    once: float
    each: float
    slope: float

    def kept(self, number: int, size: int) -> float:
        """Bytes for so many inputs of this size."""
        return self.once + number * (self.each + self.slope * size)


def piece(module: nn.Module, inputs: Callable[[int, int], object], sizes: tuple[int, int], scale: int = 1) -> Piece:
    """Measure one input of two sizes and two of the smaller; a size to the power ``scale`` is what counts."""
    small, large = sizes
    one, larger, two = (
        kept_bytes(module, partial(module, inputs(number, size)))
        for number, size in ((1, small), (1, large), (2, small))
    )
    slope = (larger - one) / (large**scale - small**scale)
    each = two - one - slope * small**scale
    return Piece(two - 2 * (two - one), each, slope)


def pictures(number: int, side: int) -> ImageBatch:
    """Random pictures."""
    return ImageBatch(torch.randn(number, 3, side, side), torch.zeros(number, side, side, dtype=torch.bool))


def texts(number: int, tokens: int) -> TextBatch:
    """Random texts."""
    return TextBatch.from_ids([[5] * tokens] * number, padding_id=1)


class Decode(nn.Module):
    """g on one stream of tokens."""

    def __init__(self, g: UnifiedDecoder) -> None:
        super().__init__()
        self.g = g

    def forward(self, segment: Segment) -> object:
        """<SPE> ‖ the tokens."""
        return self.g([segment], ATTRIBUTES)


def measure(preset: str, checkpoint_activations: bool) -> dict[str, Piece]:
    """The pieces, by pixels of a picture (a side squared), tokens of a text, tokens in g; built one after the other."""
    config = load_config(preset)

    def prepared(module: nn.Module) -> nn.Module:
        # `checkpoint_activations` wants a whole model; the layers are the same.
        for layer in module.modules() if checkpoint_activations else ():
            if isinstance(layer, activation_checkpointing.LAYERS):
                layer.forward = MethodType(activation_checkpointing._checkpointed_forward, layer)  # type: ignore[method-assign]
        return module.train()

    def tokens(number: int, length: int) -> Segment:
        is_padding = torch.zeros(number, length, dtype=torch.bool)
        return Segment(torch.randn(number, length, config.decoder.width), is_padding, "image")

    found = {"picture": piece(prepared(ImageEncoder(config.image, config.decoder.width)), pictures, (256, 384), 2)}
    found["text"] = piece(prepared(TextEncoder(config.text, config.decoder.width)), texts, (4, 128))
    g = UnifiedDecoder(config.decoder)
    merged = sum(module.folded_size() for module in g.modules() if isinstance(module, ConditionalPair)) * FLOAT
    found["g"] = piece(prepared(Decode(g)), tokens, (4, 256))
    if checkpoint_activations:  # the layers then hold their merged maps themselves, which autograd does not count
        found["g"] = found["g"]._replace(once=found["g"].once + merged)
    return found


def account(preset: str, processes: int, checkpoint_activations: bool) -> dict[str, object]:
    """Everything, in bytes."""
    with torch.device("meta"):
        model = UniPerceiver(load_config(preset))
    groups = parameter_groups(model)
    every, rest = groups["all"], groups["the rest"]
    inside = max(value for name, value in groups.items() if name.startswith("largest"))
    pieces = measure(preset, checkpoint_activations)
    part = (processes - 1) / processes
    words = -(-model.config.text.vocabulary_size // processes)
    global_tokens = {side: model.config.image.attention_pools + (side // 32) ** 2 for side in (384, 1600)}
    in_g = {side: 1 + count + model.config.image.proposals.kept for side, count in global_tokens.items()}

    def kept(name: str, number: int, size: int) -> float:
        return pieces[name].kept(number, size)

    steps = {
        "classification, 28 of 384 px": kept("picture", 28, 384**2) + kept("g", 28, in_g[384]),
        "detection, 1 of 1600 px": kept("picture", 1, 1600**2) + kept("g", 1, in_g[1600]),
        "captioning, 24 of 384 px, 50 words": kept("picture", 24, 384**2)
        + kept("text", 24, 100)
        + kept("g", 24, in_g[384] + 100),
        "masked words, 256 of 128 tokens": kept("text", 256, 128) + kept("g", 256, 129),
        "the vocabulary, a process's share": kept("text", words, VOCABULARY_TOKENS - 1)
        + kept("g", words, VOCABULARY_TOKENS),
    }
    return {
        "parameters": groups,
        "state": {
            "ddp": every * FLOAT * 5,  # weights, gradients, their buckets, two moments
            "fsdp": every * FLOAT * 4 / processes + (rest + 2 * inside) * FLOAT * 2,
        },
        "kept for the backward pass": steps,
        "sent by a process in a step": {
            "ddp, gradients": 2 * part * every * FLOAT,
            "fsdp, weights twice and gradients": 3 * part * every * FLOAT,
            "the vocabulary's encodings and their gradients": part
            * model.config.text.vocabulary_size
            * model.config.decoder.width
            * FLOAT
            * 3,
        },
        "pieces": {name: found._asdict() for name, found in pieces.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="swin_large")
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--all-activations", action="store_true", help="without activation checkpointing")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = account(arguments.preset, arguments.processes, not arguments.all_activations)
    for title in ("state", "kept for the backward pass", "sent by a process in a step"):
        print(f"\n{title}, GiB")
        for name, size in found[title].items():  # type: ignore[attr-defined]
            print(f"  {name:<50} {size / GIB:8.2f}")
    print("\nparameters, millions")
    for name, number in found["parameters"].items():  # type: ignore[attr-defined]
        print(f"  {name:<50} {number / 1e6:8.1f}")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
