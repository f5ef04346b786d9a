"""Backbone weights of Mask DINO releases under the names of our `Backbone` (spec/mask_dino.md, sections 3 and 10)."""

from __future__ import annotations

import re

from uniperceiver.convert.key_rules import Rule, our_key

RESNET_RULES: tuple[Rule, ...] = (
    (r"stem\.conv1\.norm\.(\w+)", r"network.bn1.\1"),
    (r"stem\.conv1\.weight", r"network.conv1.weight"),
    (r"res2\.(\d+)\.(.+)", r"network.layer1.\1.\2"),
    (r"res3\.(\d+)\.(.+)", r"network.layer2.\1.\2"),
    (r"res4\.(\d+)\.(.+)", r"network.layer3.\1.\2"),
    (r"res5\.(\d+)\.(.+)", r"network.layer4.\1.\2"),
)
"""Whole names in detectron2's ResNet -> names here; inside a block `_RESNET_BLOCK` follows."""

_RESNET_BLOCK: tuple[tuple[str, str], ...] = (
    (r"\.conv(\d)\.norm\.", r".bn\1."),
    (r"\.shortcut\.norm\.", r".downsample.1."),
    (r"\.shortcut\.weight", r".downsample.0.weight"),
)

SWIN_RULES: tuple[Rule, ...] = (
    (r"patch_embed\.(.+)", r"network.patch_embed.\1"),
    (r"layers\.\d+\.blocks\.\d+\.attn\.relative_position_index", None),
    (r"layers\.(\d+)\.blocks\.(.+)", r"network.layers_\1.blocks.\2"),
    (r"layers\.0\.downsample\.(.+)", r"network.layers_1.downsample.\1"),
    (r"layers\.1\.downsample\.(.+)", r"network.layers_2.downsample.\1"),
    (r"layers\.2\.downsample\.(.+)", r"network.layers_3.downsample.\1"),
    (r"norm([0-3])\.(\w+)", r"norms.\1.\2"),
)
"""The official Swin merges patches at the end of a stage, timm at the start of the next. None: knowingly dropped."""


def backbone_key(official: str) -> str | None:
    """The name in `Backbone` of an official key without its leading ``backbone.``; None where there is no counterpart.

    Raises:
        UnknownKeyError: neither a ResNet's nor a Swin's key.
    """
    name = our_key(official, RESNET_RULES + SWIN_RULES)
    if name is None:
        return None
    for inside, replacement in _RESNET_BLOCK:
        name = re.sub(inside, replacement, name)
    return name
