"""The account of a model behind ``uniperceiver info``: what it is made of, and what it costs, without making it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from uniperceiver.batches import ImageBatch, padded_length
from uniperceiver.config import ModelConfig, PatchEncoderConfig, WordEmbeddingConfig
from uniperceiver.model.backbone import STRIDES
from uniperceiver.model.patch_tokens import PatchTokens
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver


@dataclass(frozen=True)
class ParameterAccount:
    """Numbers of parameters. Frozen batch norms are constants and do not count."""

    total: int
    """Of the model as it is trained, all experts included."""
    deployed: int
    """With the experts of every layer folded for one stream of tokens, which is how the paper counts (Tab. 6)."""
    trainable: int
    """Those that get gradients."""
    by_module: dict[str, int]
    """Per part of the model; they add up to ``total``."""
    official_v1: int | None
    """v1: as its official repository counts, deployed for pictures and texts, which are two streams with experts,
    without the output projection (spec/uni_perceiver_v1_moe.md, 9.3). None: v2."""


@dataclass(frozen=True)
class Level:
    """One map of the backbone."""

    stride: int
    channels: int


@dataclass(frozen=True)
class Widths:
    """Widths of the parts; those of what a model does not have are None."""

    decoder: int
    text_encoder: int | None
    proposals: int | None
    masks: int | None


@dataclass(frozen=True)
class Cost:
    """What one picture costs, encoded by f_image and decoded by g."""

    image_size: tuple[int, int]
    """(H, W) in pixels, rounded up as batches are."""
    tokens: int
    """M + O, tokens of the picture that reach g."""
    flops: int
    """Operations of matrix products and convolutions, two per multiply-add."""


@dataclass(frozen=True)
class ModelInfo:
    """Everything ``uniperceiver info`` prints."""

    parameters: ParameterAccount
    widths: Widths
    levels: tuple[Level, ...]
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """The same as plain data: ``parameters.total``, ``parameters.deployed``, ``parameters.by_module``, …"""
        return asdict(self)

    def table(self) -> Table:
        """The same for a terminal."""
        table = Table("what", "value", title="Uni-Perceiver")
        table.columns[1].justify = "right"
        for name, count in self.parameters.by_module.items():
            table.add_row(f"parameters of {name}", _millions(count))
        table.add_section()
        table.add_row("parameters in all", _millions(self.parameters.total))
        table.add_row("… deployed, experts folded", _millions(self.parameters.deployed))
        if self.parameters.official_v1 is not None:
            table.add_row("… as v1's official repository counts", _millions(self.parameters.official_v1))
        table.add_row("… trained", _millions(self.parameters.trainable))
        table.add_section()
        for part, width in asdict(self.widths).items():
            table.add_row(f"width of {part.replace('_', ' ')}", "none" if width is None else str(width))
        for level in self.levels:
            table.add_row(f"channels at stride {level.stride}", str(level.channels))
        table.add_section()
        height, width = self.cost.image_size
        table.add_row(f"tokens of a {height}×{width} picture", str(self.cost.tokens))
        table.add_row("… FLOPs to encode and decode it", f"{self.cost.flops / 1e9:.1f} G")
        return table


def describe(config: ModelConfig, image_size: tuple[int, int]) -> ModelInfo:
    """The account of the model a configuration gives, for a picture of ``image_size`` (H, W) pixels.

    The model is built and run without numbers, so that the largest takes seconds and no memory.
    """
    height, width = (padded_length(side) for side in image_size)
    if isinstance(config.image, PatchEncoderConfig):
        height = width = config.image.image_size
    with FakeTensorMode(), _AllZero():
        model = UniPerceiver(config).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            tokens = _encode_and_decode(model, height, width)
        parameters = ParameterAccount(
            total=_size(model.parameters()),
            deployed=model.deployed_parameters(),
            trainable=_size(p for p in model.parameters() if p.requires_grad),
            by_module=_by_module(model),
            official_v1=_official_v1(model),
        )
    proposals = None if isinstance(config.image, PatchEncoderConfig) else config.image.proposals
    return ModelInfo(
        parameters=parameters,
        widths=Widths(
            decoder=config.decoder.width,
            text_encoder=None if isinstance(config.text, WordEmbeddingConfig) else config.text.width,
            proposals=None if proposals is None else proposals.width,
            masks=None if proposals is None else proposals.mask_width,
        ),
        levels=_levels(model),
        cost=Cost((height, width), tokens, counter.get_total_flops()),
    )


def _encode_and_decode(model: UniPerceiver, height: int, width: int) -> int:
    """Run f_image and g on one picture; the number of its tokens."""
    is_padding = torch.zeros(1, height, width, dtype=torch.bool)
    segment = model.encode_image(ImageBatch(torch.zeros(1, 3, height, width), is_padding)).segment
    model.decode(segment, attributes=TaskAttributes(input_image=True, input_text=False))
    return segment.tokens.shape[1]


def _levels(model: UniPerceiver) -> tuple[Level, ...]:
    """The backbone's maps; none where pictures are cut into patches."""
    if isinstance(model.f_image, PatchTokens):
        return ()
    return tuple(Level(s, c) for s, c in zip(STRIDES, model.f_image.backbone.channels, strict=True))


def _official_v1(model: UniPerceiver) -> int | None:
    if not isinstance(model.f_image, PatchTokens):
        return None
    return model.deployed_parameters(streams=2) - _size(model.g.proj.parameters())


def _by_module(model: UniPerceiver) -> dict[str, int]:
    """Parameters of the parts of f_image, of f_text, of g, and of τ."""
    parts: dict[str, nn.Module] = {f"f_image.{name}": part for name, part in model.f_image.named_children()}
    parts |= {"f_text": model.f_text, "g": model.g}
    counts = {name: _size(part.parameters()) for name, part in parts.items()}
    return counts | {"temperature": _size(model.parameters()) - sum(counts.values())}


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M"


class _AllZero(TorchDispatchMode):
    """Answers every question about a value with zero, where tensors have shapes but no values.

    The network asks two: whether anything is padded (no), and which experts a gate prefers (any: all cost the same).
    """

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            value: Tensor = args[0]
            return 0.0 if value.dtype.is_floating_point else 0
        return func(*args, **(kwargs or {}))
