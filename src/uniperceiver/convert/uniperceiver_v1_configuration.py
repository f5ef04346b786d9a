"""The model configuration that the tensors of a Uni-Perceiver v1 file imply."""

from __future__ import annotations

import math
from collections.abc import Mapping
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


def configuration(weights: Mapping[str, Tensor], heads: int | None = None) -> ModelConfig:
    """The model configuration that tensors under our names imply. ``heads``: None is one for each 64 of the width."""
    words = weights["f_text.words.weight"]
    vocabulary, width = words.shape
    if heads is None and width % 64:
        raise ValueError(f"a width of {width} does not say how many heads there are (D/64 officially): give heads")
    patch = weights["f_image.patches.weight"].shape[-1]
    size = math.isqrt(len(weights["f_image.spatial_positions"])) * patch
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("g.layers."))
    first, plain = "g.layers.0.feed_forward.first.experts.0.weight", "g.layers.0.feed_forward.first.weight"
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
            feedforward=len(weights[first] if first in weights else weights[plain]),
            drop_path=0.2 if width >= 1024 else 0.1,
            layer_scale=1e-3,
            moe=_experts(weights),
            type_codes=False,
            text_positions=0,
            own_spe=False,
            input_norm="shared" if "g.norm.weight" in weights else "per_modality",
            prompts=_prompts(weights),
        ),
        temperatures=tuple(g for g in get_args(TemperatureGroup) if f"log_inverse_temperatures.{g}" in weights),
    )


def _experts(weights: Mapping[str, Tensor]) -> MoEConfig | None:
    names = [
        name for name in weights if name.startswith("g.layers.0.attention.first.experts.") and name.endswith("bias")
    ]
    if not names:
        return None
    return MoEConfig(experts=len(names), layers="even", in_attention=True, targets_have_image_bit=True)


def _prompts(weights: Mapping[str, Tensor]) -> PromptConfig | None:
    inputs = weights.get("g.layers.0.prompts.inputs")
    return None if inputs is None else PromptConfig(len(inputs), "g.layers.0.prompts.targets" in weights)
