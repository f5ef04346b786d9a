"""The model configuration that the tensors of a Uni-Perceiver v1 file imply."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from torch import Tensor

from uniperceiver.config import (
    ModelConfig,
    MoEConfig,
    PatchEncoderConfig,
    PromptConfig,
    TemperatureGroup,
    UnifiedDecoderConfig,
    WordEmbeddingConfig,
)

LONGEST_SIDE_OF_STAGE_1 = 160
_EXPERT = re.compile(r"g\.layers\.(\d+)\.(attention|feed_forward)\.first\.experts\.(\d+)\..*")
"""A map of one expert: layer, part and number."""
_SHAPE_GIVERS = {
    "f_text.words.weight": 2,
    "f_text.positions.weight": 2,
    "f_text.token_types.weight": 2,
    "f_image.patches.weight": 4,
    "f_image.patches.bias": 1,
    "f_image.spatial_positions": 2,
    "f_image.temporal_positions.weight": 2,
    "g.layers.0.norm1.weight": 1,
}
"""What `configuration` looks at, whatever the model, and its dimensions; and one of the next two."""
_WITH_EXPERTS, _PLAIN = "g.layers.0.feed_forward.first.experts.0.weight", "g.layers.0.feed_forward.first.weight"


def lacking_shapes(weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Our names of the tensors without which there is no `configuration`."""
    names = [*_SHAPE_GIVERS, *([] if _WITH_EXPERTS in weights else [_PLAIN])]
    return tuple(name for name in names if name not in weights)


def configuration(weights: Mapping[str, Tensor], heads: int | None = None) -> ModelConfig:
    """The model configuration that tensors under our names imply. ``heads``: None is one for each 64 of the width.

    Raises:
        ValueError: shapes, or layers with experts, that no configuration has, or a width without ``heads``.
    """
    _check_shapes(weights)
    words = weights["f_text.words.weight"]
    vocabulary, width = words.shape
    if heads is None and width % 64:
        raise ValueError(f"a width of {width} does not say how many heads there are (D/64 officially): give heads")
    if heads is not None and (heads < 1 or width % heads):
        raise ValueError(f"the file's width of {width} does not divide into {heads} heads: give another number")
    patch = weights["f_image.patches.weight"].shape[-1]
    size = math.isqrt(len(weights["f_image.spatial_positions"])) * patch
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("g.layers."))
    return ModelConfig(
        image=PatchEncoderConfig(
            kind="patches",
            image_size=size,
            patch=patch,
            frames=len(weights["f_image.temporal_positions.weight"]),
            position_size=min(size, LONGEST_SIDE_OF_STAGE_1),
        ),
        text=WordEmbeddingConfig(
            kind="words",
            vocabulary_size=vocabulary,
            positions=len(weights["f_text.positions.weight"]),
            token_types=len(weights["f_text.token_types.weight"]),
            spe_id=vocabulary - 1,
            spe_bias="f_text.spe_bias" in weights,
        ),
        decoder=UnifiedDecoderConfig(
            width=width,
            layers=layers,
            heads=heads or width // 64,
            feedforward=len(weights[_WITH_EXPERTS] if _WITH_EXPERTS in weights else weights[_PLAIN]),
            drop_path=0.2 if width >= 1024 else 0.1,
            layer_scale=1e-3 if "g.layers.0.gamma_1" in weights else None,
            moe=_experts(weights, layers),
            type_codes=False,
            text_positions=0,
            own_spe=False,
            input_norm="shared" if "g.norm.weight" in weights else "per_modality",
            prompts=_prompts(weights),
        ),
        temperatures=get_args(TemperatureGroup),
    )


def _check_shapes(weights: Mapping[str, Tensor]) -> None:
    feed_forward = _WITH_EXPERTS if _WITH_EXPERTS in weights else _PLAIN
    for name, dimensions in (*_SHAPE_GIVERS.items(), (feed_forward, 2)):
        shape = tuple(weights[name].shape)
        if len(shape) != dimensions or 0 in shape:
            raise ValueError(
                f"{name} in the file has the shape {shape}: expected {dimensions} dimensions, none of them 0; convert "
                "a file that is whole and of Uni-Perceiver v1"
            )


def _experts(weights: Mapping[str, Tensor], layers: int) -> MoEConfig | None:
    """Experts where the names have them: officially MOE_EXPERT_LOCATION and MOE_EXPERT_TYPE, which files do not say.

    Raises:
        ValueError: they are in other layers than one of the official choices, or in the attention alone.
    """
    found = [match for name in weights if (match := _EXPERT.fullmatch(name))]
    if not found:
        return None
    parts = {match[2] for match in found}
    having = sorted({int(match[1]) for match in found})
    experts = 1 + max(int(match[3]) for match in found)
    some = MoEConfig(experts, min(2, experts), in_attention="attention" in parts, targets_have_image_bit=True)
    for choice in ("even", "odd", "all"):
        config = replace(some, layers=choice)
        if "feed_forward" in parts and having == [index for index in range(layers) if config.is_in(index)]:
            return config
    raise ValueError(
        f"the file has experts in the {' and the '.join(sorted(parts))} of layers {', '.join(map(str, having))} of "
        f"{layers}: expected them in the feed_forward, or in both, of all layers, of 0, 2, 4, … or of 1, 3, 5, …; "
        "convert a file with such experts, or a dense one"
    )


def _prompts(weights: Mapping[str, Tensor]) -> PromptConfig | None:
    inputs = weights.get("g.layers.0.prompts.inputs")
    return None if inputs is None else PromptConfig(len(inputs), "g.layers.0.prompts.targets" in weights)
