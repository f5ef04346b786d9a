"""The learning rate over time, as a pure function of how far the training is."""

from __future__ import annotations

import math

import torch

from uniperceiver.config import ScheduleConfig

STEP_DECAY = 0.1
"""Factor at each milestone (Sec. 5.2: "drops to 0.1×")."""


def training_progress(config: ScheduleConfig, step: int, seconds: float) -> float:
    """Part of the training that is done, from 0; 1 or more means it is over.

    Args:
        config: Its length, in steps or in minutes.
        step: Steps done.
        seconds: Time spent on them, interrupted parts included. It counts only when ``config.minutes`` is given.
    """
    if config.minutes is None:
        return step / config.steps
    return seconds / (60 * config.minutes)


def learning_rate_factor(config: ScheduleConfig, step: int, progress: float) -> float:
    """Factor on every learning rate in a step: linear warm-up times the decay, in [0, 1].

    Args:
        config: Kind and places of warm-up and decay.
        step: Steps done before this one; the first of w warm-up steps has 1 / w, the last 1.
        progress: Part of the training done before this step, from `training_progress`; above 1 counts as 1.

    Source: Sec. 5.2 (constant, then 0.1 ×). Paper: silent on warm-up; the cosine is for short trainings.
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    progress = min(progress, 1.0)
    if config.decay == "step":
        return warmup * STEP_DECAY ** sum(progress >= milestone for milestone in config.milestones)
    constant = config.warmup_steps / config.steps if config.constant == "warmup" else config.constant
    if progress <= constant:
        return warmup
    angle = math.pi * (progress - constant) / (1 - constant)
    return warmup * (config.final + (1 - config.final) * (1 + math.cos(angle)) / 2)


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its ``initial_lr`` (from `parameter_groups`) times the factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
