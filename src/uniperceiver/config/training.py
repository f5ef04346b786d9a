"""Configuration of a joint training: the mixture, the losses, the optimiser, the schedule."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from uniperceiver.config.constraints import STRICT, DropPath, Fraction, Positive
from uniperceiver.config.data import DatasetConfig
from uniperceiver.config.scenes import ScenesConfig
from uniperceiver.config.task import TaskConfig

Sampling = Literal["unmixed", "mixed"]
Parallel = Literal["ddp", "fsdp"]
Precision = Literal["float32", "bfloat16", "auto"]
"""``auto``: bfloat16 where the device is quicker with it, else float32."""


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

    def __post_init__(self) -> None:
        """Mirrored, what moves to the left would be called to move to the right."""
        has_motion = isinstance(self.dataset, ScenesConfig) and self.dataset.view in {"motions", "motion_captions"}
        if has_motion and self.task.image.flip:
            raise ValueError(
                "image.flip mirrors half of the training clips, and left and right would be wrong: give the task "
                "image: {flip: false}"
            )


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
    masks_of: Literal["every_stage", "first_and_last"] = "every_stage"
    """Stages whose masks are compared (A28): every one, or the encoder's tokens and the last layer, which is cheaper.
    Matching always weighs masks."""
    names: Annotated[float, Field(ge=0)] = 1.0
    """Weight of Eq. (7) on the matched proposals beside these losses (A29)."""


@dataclass(frozen=True, config=STRICT)
class OptimizerConfig:
    """MT-AdamW (Sec. 4.4) or plain AdamW, and the learning rate of every part."""

    name: Literal["mt_adamw", "adamw"] = "mt_adamw"
    equal_say: Literal["tasks", "steps"] = "tasks"
    """What counts alike in MT-AdamW's first moment. ``tasks``, however often they are drawn: the 1/s_k of Sec. 4.4;
    ``steps``: every step, ω_k ∝ s_k. In short trainings the steps of rare tasks would else be the others' noise."""
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
    projections_scale: float = 1.0
    """What begins with random weights between the encoders and g: global tokens, region tokens, the projection of texts
    and, in Uni-Perceiver v1, the patches of pictures."""
    decoder_scale: float = 1.0
    """Everything else: g and the temperature."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Bound of the gradient norm, AdamW only: MT-AdamW normalises instead."""

    def __post_init__(self) -> None:
        """Clipping and normalising exclude each other."""
        if self.name == "mt_adamw" and self.clip_norm is not None:
            raise ValueError(
                "optimizer.clip_norm is for adamw: mt_adamw normalises the gradient; remove one of the two"
            )
        if self.name == "adamw" and self.equal_say == "steps":
            raise ValueError("optimizer.equal_say is for mt_adamw: in adamw every step counts alike; remove it")


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
    constant: Fraction | Literal["warmup"] = 0.0
    """Fraction of the training before a cosine begins; ``warmup``: ``warmup_steps / steps``, as in v1."""
    final: Fraction = 0.0
    """Last learning rate of a cosine, relative."""


@dataclass(frozen=True, config=STRICT)
class WeightAverageConfig:
    """An exponential moving average (EMA) of the weights, kept in the checkpoint beside them."""

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.9998
    """Share of the average that stays after a step."""
    evaluate: bool = True
    """Evaluations during training use the average, and so does the choice of the best checkpoint."""


@dataclass(frozen=True, config=STRICT)
class TuneConfig:
    """How much of the model is trained: all of it, or little enough to adapt it on few data."""

    mode: Literal["full", "frozen", "lora", "prompt"] = "full"
    """``full``: everything; ``frozen``: g and the temperature, the encoders f stay; ``lora``: low-rank updates of the
    linear maps of g; ``prompt``: deep prompts in g, its norms, <SPE>, and linear heads of classification."""
    rank: Positive = 8
    """``lora``: rank of an update."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """``lora``: updates are multiplied by alpha / rank."""
    prompts: Positive = 10
    """``prompt``: prompts in a layer."""
    target_prompts: bool = True
    """``prompt``: prompts of their own for targets y, as Tab. 9 of the v1 paper counts them; False: those of inputs x.
    """
    linear_head: bool = True
    """``prompt``: classification also gets a linear head (Eq. (4) of the v1 paper)."""


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
    init_from: tuple[str, ...] = ()
    """Weights to start parts of the model from, later ones over earlier ones: files or folders of Mask DINO, BERT,
    RoBERTa, timm, MoCo v2 or CLIP, or of this project (docs/checkpoints.md)."""
    tune: TuneConfig = field(default_factory=TuneConfig)
    drop_path: DropPath | None = None
    """Stochastic depth in g, as of the decoder's configuration; None: the model's."""
    fixed_temperature: Annotated[float, Field(gt=0)] | None = None
    """τ of all tasks, which is not learnt then (v1 in visual question answering); None: it is learnt."""
    sampling: Sampling = "unmixed"
    """Tab. 4. ``unmixed``: a step trains one stream, drawn with probability s_k; ``mixed``: every stream, with loss
    weight s_k and the share s_k of its batch."""
    precision: Precision = "float32"
    """``bfloat16``: autocast; losses, gates, and boxes and scores of proposals stay in float32. ``auto``: where the
    device is quicker with it, which a processor without instructions for it is not."""
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
    keep_last: Positive = 1
    """Checkpoints that stay, the newest included; above 1 they are in the folder ``kept``."""
    evaluate_every: Positive | None = None
    """Steps between evaluations of the streams that have ``evaluation``; None: training does not evaluate."""
    keep_best: str | None = None
    """``STREAM/METRIC`` of these evaluations, e.g. ``photos/top1``: the checkpoint with the largest value stays in the
    folder ``best``."""
    patience: Positive | None = None
    """Evaluations without a new best after which training stops early; None: it does not."""
    weight_average: WeightAverageConfig | None = None
    largest_loss: Annotated[float, Field(gt=0)] = 1e4
    """A loss above it counts as exploded, as one that is not finite does: training stops and writes the batch aside."""
    parallel: Parallel = "ddp"
    """With several processes, ``ddp``: each holds the whole model; ``fsdp``: each a part of the weights, gradients and
    moments."""
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
        if self.patience is not None and self.keep_best is None:
            raise ValueError("patience counts evaluations without a new best: give keep_best, the metric, as well")
        if self.keep_best is not None:
            self._check_best(self.keep_best)

    def _check_best(self, keep_best: str) -> None:
        stream, separator, metric = keep_best.rpartition("/")
        evaluated = [name for name, row in self.streams.items() if row.evaluation is not None]
        if not separator or not metric or stream not in evaluated:
            raise ValueError(
                f"keep_best should be STREAM/METRIC with a stream that has evaluation data "
                f"({', '.join(evaluated) or 'there is none'}), got {keep_best!r}"
            )
        if self.evaluate_every is None:
            raise ValueError("keep_best needs evaluate_every: the metric comes from evaluations during training")
