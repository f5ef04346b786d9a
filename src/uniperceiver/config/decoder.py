"""Configuration of g: its layers, its experts, and what adapting adds to it."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, DropPath, Positive


@dataclass(frozen=True, config=STRICT)
class MoEConfig:
    """Conditional MoE with attribute-level routing (spec/uni_perceiver_v1_moe.md, section 6)."""

    experts: Positive = 8
    top_k: Positive = 2
    layers: Literal["all", "even", "odd"] = "all"
    """``all``: every layer (v2); ``even``: layers 0, 2, 4, … (v1-MoE); ``odd``: layers 1, 3, 5, …"""
    in_attention: bool = False
    """Also make the attention's projections conditional (v1-MoE)."""
    noise: Annotated[float, Field(ge=0)] = 1.0
    """Training noise on the gate logits, in units of 1/E standard deviation."""
    targets_have_image_bit: bool = False
    """True: targets are routed as if the input had an image, so that the words of masked language modelling are those
    of captioning (v1-MoE's table; spec/uni_perceiver_v1_moe.md, section 6)."""
    folded: tuple[Annotated[str, Field(pattern="^[01]{8}$")], ...] = ()
    """Deployment: routing bits of the streams whose merged maps replace experts and gates; empty: there are experts."""

    def __post_init__(self) -> None:
        """Top-k cannot exceed the number of experts."""
        if self.top_k > self.experts:
            raise ValueError(f"decoder.moe.top_k {self.top_k} exceeds decoder.moe.experts {self.experts}")

    def is_in(self, index: int) -> bool:
        """Whether layer ``index``, counted from 0, has experts."""
        return self.layers == "all" or index % 2 == ("even", "odd").index(self.layers)


@dataclass(frozen=True, config=STRICT)
class LoraConfig:
    """Low-rank updates of the linear maps of g that are not merged yet (LoRA)."""

    rank: Positive = 8
    """r."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """Updates are multiplied by alpha / rank."""


@dataclass(frozen=True, config=STRICT)
class PromptConfig:
    """Deep prompts: learned tokens in every layer of g (spec/uni_perceiver_v1_moe.md, 2.8)."""

    number: Positive = 10
    """P, in each layer."""
    for_targets: bool = False
    """Targets y have prompts of their own; False: those of inputs x."""


@dataclass(frozen=True, config=STRICT)
class UnifiedDecoderConfig:
    """g: the shared Transformer; defaults are the paper's (6 BERT-base-like layers)."""

    width: Positive = 768
    """D."""
    layers: Positive = 6
    heads: Positive = 12
    feedforward: Positive = 3072
    drop_path: DropPath = 0.1
    """Stochastic depth: one rate for every layer (App. B, and v1), or those of the first and the last layer (v1 in
    visual question answering)."""
    layer_scale: float | None = None
    """Initial value of the layer scale; None: none (v2, App. B). v1 has 1e-3."""
    moe: MoEConfig | None = field(default_factory=MoEConfig)
    type_codes: bool = True
    """Add a learned vector per modality; v1 adds its own in f instead."""
    text_positions: Annotated[int, Field(ge=0)] = 512
    """Rows of a learned position table added to text tokens; 0: none (v1 adds its own in f instead)."""
    own_spe: bool = True
    """<SPE> is a learned vector of g; False: it is given by the text embedding (v1)."""
    input_norm: Literal["per_modality", "shared"] | None = None
    """A LayerNorm on what enters g. ``per_modality``: one each for the tokens of images and of texts, before codes are
    added; <SPE> that is a word has that of texts. ``shared``: one for every token with its codes, <SPE> included. v1
    counts it to its embeddings; its models for visual question answering have two."""

    lora: LoraConfig | None = None
    prompts: PromptConfig | None = None

    def __post_init__(self) -> None:
        """Heads must divide the width."""
        if self.width % self.heads:
            raise ValueError(f"decoder.width {self.width} is not divisible by decoder.heads {self.heads}")

    def drop_path_of(self, index: int) -> float:
        """The rate of layer ``index``, counted from 0. Of two rates a single layer has the first."""
        if not isinstance(self.drop_path, tuple):
            return self.drop_path
        first, last = self.drop_path
        return first + (last - first) * index / max(self.layers - 1, 1)
