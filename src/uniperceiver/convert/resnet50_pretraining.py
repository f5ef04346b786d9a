"""ResNet-50 weights of MoCo v2 and CLIP (Tab. 5) under timm's names: ``resnet50`` and ``resnet50_clip``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from uniperceiver.convert.key_rules import Rule, our_key, rename
from uniperceiver.load_report import LoadReport

MOCO_RULES: tuple[Rule, ...] = (
    (r"module\.encoder_q\.fc\..+", None),
    (r"module\.encoder_q\.(.+)", r"\1"),
    (r"module\.(encoder_k\..+|queue|queue_ptr)", None),
)
"""The query encoder is a torchvision ResNet-50, whose names are timm's. Its head, the momentum encoder and the queue
are of no use here."""

_NORM = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
_BLOCK = r"visual\.layer(\d)\.(\d+)\."
CLIP_RULES: tuple[Rule, ...] = (
    (r"visual\.conv(\d)\.weight", r"stem.conv\1.conv.weight"),
    (rf"visual\.bn(\d)\.{_NORM}", r"stem.conv\1.bn.\2"),
    *(
        rule
        for number, place in (("1", "conv1_1x1"), ("2", "conv2_kxk"), ("3", "conv3_1x1"))
        for rule in (
            (_BLOCK + rf"conv{number}\.weight", rf"stages.<\1>.\2.{place}.conv.weight"),
            (_BLOCK + rf"bn{number}\.{_NORM}", rf"stages.<\1>.\2.{place}.bn.\3"),
        )
    ),
    (_BLOCK + r"downsample\.0\.weight", r"stages.<\1>.\2.shortcut.conv.conv.weight"),
    (_BLOCK + rf"downsample\.1\.{_NORM}", r"stages.<\1>.\2.shortcut.conv.bn.\3"),
    (r"visual\.attnpool\..+", None),
    (r"(transformer\..+|token_embedding\.weight|positional_embedding|text_projection|logit_scale)", None),
    (r"ln_final\.(weight|bias)", None),
    (r"(input_resolution|context_length|vocab_size)", None),
)
"""CLIP's modified ResNet: a stem of three convolutions, average pools instead of strides. A stage in ``<>`` counts
from one there and from zero in timm. Its attention pool and text tower are of no use here."""


def moco_weights(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], LoadReport]:
    """The backbone in a MoCo v2 checkpoint under timm's names for ``resnet50``, and what was dropped."""
    return rename(tensors, lambda key: our_key(key, MOCO_RULES))


def clip_weights(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], LoadReport]:
    """The picture tower of CLIP's ResNet-50 under timm's names for ``resnet50_clip``, and what was dropped."""
    return rename(tensors, clip_key)


def clip_key(key: str) -> str | None:
    """The name in timm's ``resnet50_clip`` of a name in CLIP's ResNet-50; None where it is dropped.

    Raises:
        UnknownKeyError: no rule knows it.
    """
    name = our_key(key, CLIP_RULES)
    if name is None or "<" not in name:
        return name
    before, _, rest = name.partition("<")
    stage, _, after = rest.partition(">")
    return f"{before}{int(stage) - 1}{after}"
