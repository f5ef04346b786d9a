"""Fixtures of the task tests: the tiny model, records with drawn pictures, and a few steps of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from uniperceiver.config import (
    ModelConfig,
    MoEConfig,
    PatchEncoderConfig,
    ProposalLossConfig,
    TaskConfig,
    WordEmbeddingConfig,
)
from uniperceiver.data.records import AnnotatedImage
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.task import Task, TaskSetting

MakeSetting = Callable[..., TaskSetting]


@pytest.fixture
def model(tiny_model_config: ModelConfig) -> UniPerceiver:
    """A tiny model in evaluation mode; no noise in training, so that a few steps suffice to learn a batch."""
    torch.manual_seed(0)
    decoder = replace(tiny_model_config.decoder, drop_path=0.0, moe=MoEConfig(experts=4, noise=0.0))
    return UniPerceiver(replace(tiny_model_config, decoder=decoder)).eval()


@pytest.fixture
def v1_model(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> UniPerceiver:
    """A tiny model of the first version in evaluation mode: patches, words, a temperature for each group of tasks."""
    torch.manual_seed(0)
    decoder = replace(
        tiny_model_config.decoder,
        own_spe=False,
        type_codes=False,
        text_positions=0,
        input_norm="shared",
        drop_path=0.0,
        moe=MoEConfig(experts=4, noise=0.0, targets_have_image_bit=True),
    )
    return UniPerceiver(
        ModelConfig(
            image=PatchEncoderConfig("patches", image_size=64, frames=2, position_size=64),
            text=WordEmbeddingConfig("words", tokenizer.vocabulary_size, positions=64, spe_id=tokenizer.slot_id),
            decoder=decoder,
            temperatures=("img_cls", "text_mlm", "text_caption", "caption", "retrieve"),
        )
    ).eval()


@pytest.fixture
def setting(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> MakeSetting:
    """Makes a `TaskSetting` from fields of `TaskConfig`."""

    def make(**fields: Any) -> TaskSetting:
        loss = ProposalLossConfig(points=64)
        return TaskSetting(TaskConfig(max_tokens=16, **fields), tokenizer, tiny_model_config.image.backbone, loss)

    return make


def _picture(colour: Iterable[int], height: int = 64, width: int = 64) -> Tensor:
    """A noisy picture of one colour, (3, H, W) uint8."""
    noise = torch.randint(0, 40, (3, height, width), generator=torch.Generator().manual_seed(sum(colour)))
    return (torch.tensor(list(colour))[:, None, None] + noise).clamp(0, 255).to(torch.uint8)


def _annotated(
    image_id: str, boxes: list[list[int]], labels: list[int], size: tuple[int, int] = (64, 64), crowds: int = 0
) -> AnnotatedImage:
    """A grey picture with bright rectangles for objects, the last ``crowds`` of them crowds."""
    image = _picture((60, 60, 60), *size)
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1), label in zip(masks, boxes, labels, strict=True):
        mask[y0:y1, x0:x1] = True
        image[label % 3, y0:y1, x0:x1] = 255
    is_crowd = torch.zeros(len(boxes), dtype=torch.bool)
    is_crowd[len(boxes) - crowds :] = True
    shaped = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    has_mask = torch.ones(len(boxes), dtype=torch.bool)
    names = torch.tensor(labels, dtype=torch.int64)
    return AnnotatedImage(image, image_id, shaped, masks, names, has_mask, is_crowd, size)


def _overfit(model: UniPerceiver, task: Task, batch: Any, steps: int, rate: float = 1e-3) -> list[dict[str, float]]:
    """Train on one batch and give the losses of every step, by name."""
    torch.manual_seed(0)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    history = []
    for _ in range(steps):
        losses = task.loss(model, batch)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items()} | {"sum": float(total.detach())})
    model.eval()
    return history


@pytest.fixture
def picture() -> Callable[..., Tensor]:
    """See `_picture`."""
    return _picture


@pytest.fixture
def annotated() -> Callable[..., AnnotatedImage]:
    """See `_annotated`."""
    return _annotated


@pytest.fixture
def overfit() -> Callable[..., list[dict[str, float]]]:
    """See `_overfit`."""
    return _overfit
