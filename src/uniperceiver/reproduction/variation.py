"""One run of an ablation: what it changes in the baseline, and the configurations that follow."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from uniperceiver.config import (
    ConfigError,
    ImageEncoderConfig,
    ModelConfig,
    OptimizerConfig,
    Sampling,
    ScheduleConfig,
    StreamConfig,
    TrainConfig,
)
from uniperceiver.reproduction.baseline import Baseline

CLIP_NORM = 1.0
"""Bound of the gradient norm with AdamW. Paper: silent on clipping."""


@dataclass(frozen=True)
class Encoder:
    """Weights the backbone starts from, a row of Tab. 5."""

    method: str
    """Of the pre-training, e.g. ``MoCo v2``."""
    data: str
    source: str | None
    """As `BackboneConfig.pretrained`; None: random weights."""

    @classmethod
    def parse(cls, text: str) -> Encoder:
        """``METHOD/DATA=SOURCE``, e.g. ``MoCo v2/IN-1k=file:moco.safetensors``; ConfigError for anything else."""
        labels, is_given, source = text.partition("=")
        method, has_data, data = labels.partition("/")
        if not (method and is_given and has_data and data and source):
            raise ConfigError(f"an encoder is given as METHOD/DATA=SOURCE, got {text!r}")
        return cls(method, data, source)


@dataclass(frozen=True)
class Variation:
    """How a run differs from the baseline. Equal variations are one run, whatever tables they stand in."""

    streams: tuple[str, ...]
    """To train, in alphabetical order."""
    image_tokens: Literal["both", "global", "regional"] = "both"
    """The representation of Tab. 2."""
    is_conditional: bool = True
    """With Conditional MoE (Tab. 3)."""
    sampling: Sampling = "unmixed"
    optimizer: Literal["mt_adamw", "adamw"] = "mt_adamw"
    gathers_negatives: bool = True
    """Tab. 4, "Gather Feature"."""
    encoder: Encoder | None = None
    """None: the baseline's."""

    def name(self, baseline: Baseline) -> str:
        """A folder name that no other variation has."""
        missing = [name for name in baseline.streams if name not in self.streams]
        encoder = "" if self.encoder is None else f"{self.encoder.method} {self.encoder.data}"
        parts = [
            "all" if not missing else "only " + " ".join(self.streams),
            "" if self.image_tokens == "both" else self.image_tokens,
            "" if self.is_conditional else "no moe",
            "" if self.optimizer == "mt_adamw" else self.optimizer,
            "" if self.sampling == "unmixed" else self.sampling,
            "" if self.gathers_negatives else "own negatives",
            encoder,
        ]
        if len(missing) == 1 and len(self.streams) > 1:
            parts[0] = f"without {missing[0]}"
        return "-".join(re.sub(r"\W+", "_", part) for part in parts if part)


def model_of(baseline: Baseline, variation: Variation) -> ModelConfig:
    """The model of a run."""
    model = baseline.model
    assert isinstance(model.image, ImageEncoderConfig)  # Baseline checks it
    moe = model.decoder.moe if variation.is_conditional else None
    return replace(model, image=_image(model.image, variation), decoder=replace(model.decoder, moe=moe))


def _image(image: ImageEncoderConfig, variation: Variation) -> ImageEncoderConfig:
    if image.proposals is not None:
        # As in the paper; and a run without detection, or with regions alone, would have nobody to teach them.
        image = replace(image, proposals=replace(image.proposals, taught_by="every_task"))
    if variation.image_tokens == "global":
        image = replace(image, proposals=None)
    if variation.image_tokens == "regional":
        image = replace(image, global_tokens=False)
    if variation.encoder is None:
        return image
    source = variation.encoder.source
    # Random weights must not be frozen; trained ones stay as in the baseline.
    frozen = 0 if source is None else image.backbone.frozen_stages
    return replace(image, backbone=replace(image.backbone, pretrained=source, frozen_stages=frozen))


def training_of(baseline: Baseline, variation: Variation, seed: int, model: str) -> TrainConfig:
    """The training of a run: as many steps as its streams have in the joint training with the same seed.

    It is evaluated at its end and never stops before, whatever the baseline says.

    Args:
        baseline: the joint training.
        variation: what to change.
        seed: of the weights and of everything drawn in training; the data stay the same.
        model: path of the YAML that holds `model_of`.
    """
    steps = baseline.steps_of(variation.streams, seed)
    return replace(
        baseline.training,
        model=model,
        streams={name: _stream(baseline, variation, name) for name in variation.streams},
        schedule=_schedule(baseline.training.schedule, steps),
        optimizer=_optimizer(baseline, variation),
        sampling=variation.sampling,
        seed=seed,
        evaluate_every=None,
        keep_best=None,
        patience=None,
        keep_last=1,
        checkpoint_every=min(baseline.training.checkpoint_every, max(1, steps // 4)),
    )


def _stream(baseline: Baseline, variation: Variation, name: str) -> StreamConfig:
    row = baseline.training.streams[name]
    return replace(
        row,
        task=replace(row.task, gather_negatives=variation.gathers_negatives),
        batch_size=max(1, round(row.batch_size / baseline.processes)),
        held_out_evaluation=None,
    )


def _schedule(schedule: ScheduleConfig, steps: int) -> ScheduleConfig:
    """By steps, not by the clock, so that runs can be compared; short runs warm up for a tenth of their steps."""
    return replace(schedule, steps=steps, minutes=None, warmup_steps=min(schedule.warmup_steps, steps // 10))


def _optimizer(baseline: Baseline, variation: Variation) -> OptimizerConfig:
    """Rates at which the optimisers' updates are about as long.

    With K streams MT-AdamW's updates are about √K times AdamW's at the same rate (docs/decisions.md), so from the
    baseline's α of MT-AdamW with K streams follow α √K for AdamW, and α √(K / k) for MT-AdamW with k streams.

    Paper: gives one rate for all, and tells nothing of AdamW's.
    """
    settings, streams = baseline.training.optimizer, len(baseline.streams)
    if variation.encoder is not None and variation.encoder.source is None:
        # "0.1 since they have already been pre-trained" (Sec. 5.2) does not hold for random weights.
        settings = replace(settings, backbone_scale=settings.proposals_scale)
    if variation.optimizer == "adamw":
        rate = settings.learning_rate * math.sqrt(streams)
        return replace(settings, name="adamw", equal_say="tasks", learning_rate=rate, clip_norm=CLIP_NORM)
    return replace(settings, learning_rate=settings.learning_rate * math.sqrt(streams / len(variation.streams)))
