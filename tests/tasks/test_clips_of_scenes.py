"""Composed clips train models that read frames, through the configuration of any training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uniperceiver.config import ModelConfig, TrainConfig, from_data
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
from uniperceiver.training.train import train


def stream(kind: str, view: str, **settings: Any) -> dict[str, Any]:
    """Four clips, one of each class, which are one batch."""
    image = {"train": 32, "test": 32, "flip": False}
    data = {"kind": "scenes", "view": view, "split": "train", "images": 4, "size": 64, "sampling": {"frames": 4}}
    return {
        "task": {"kind": kind, "image": image} | settings,
        "dataset": data,
        "evaluation": data,
        "batch_size": 4,
        "sampling_weight": 1.0,
    }


def trained(content: dict[str, Any], folder: Path) -> list[float]:
    """Train as configured; the losses of the steps."""
    train(from_data(TrainConfig, content, "clips"), folder)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(
    ("row", "steps", "left", "metric"),
    [
        (stream("classification", "motions"), 40, 0.1, "top1"),
        (stream("retrieval", "motion_captions", max_tokens=60), 40, 0.2, "video_to_text_r1"),
        (stream("captioning", "motion_captions", max_tokens=60, vocabulary_from_data=True), 60, 0.8, "name_f1"),
    ],
    ids=["motions", "retrieval", "captions"],
)
def test_a_batch_of_clips_is_learned(
    row: dict[str, Any],
    steps: int,
    left: float,
    metric: str,
    tiny_v1_config: ModelConfig,
    write_model: Callable[[ModelConfig, Path], str],
    tmp_path: Path,
) -> None:
    """Down to a share of the loss; captions, whose words are spelled in letters here, take longer than the others."""
    rates = {"learning_rate": 3.0e-3, "backbone_scale": 1.0, "text_encoder_scale": 1.0, "clip_norm": 1.0}
    content = {
        "model": write_model(tiny_v1_config, tmp_path),
        "schedule": {"steps": steps, "warmup_steps": 5},
        "optimizer": {"name": "adamw"} | rates,
        "workers": 0,
        "streams": {"clips": row},
    }
    losses = trained(content, tmp_path / "run")
    assert sum(losses[-5:]) / 5 < left * losses[0]
    reports = [
        evaluate_checkpoint(tmp_path / "run" / "checkpoint", None, None, tmp_path / f"{run}.json") for run in "ab"
    ]
    first, second = (report["clips"].result for report in reports)
    assert first.metrics == second.metrics, "evaluation draws nothing"
    assert first.unit == "videos"
    assert metric in first.metrics
    if row["task"]["kind"] != "captioning":
        assert first.metrics[metric] == 1.0
