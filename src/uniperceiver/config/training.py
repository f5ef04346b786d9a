"""Configuration of a joint training: the mixture, the losses, the optimiser, the schedule."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, Fraction, Positive
from uniperceiver.config.data import DatasetConfig
from uniperceiver.config.task import TaskConfig

Sampling = Literal["unmixed", "mixed"]


@dataclass(frozen=True, config=STRICT)
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
    held_out_evaluation: DatasetConfig | None = None
    """Data of class names that training never saw, on which the task is evaluated as well, reported as
    ``<stream>-held-out``; None: there are none."""


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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
