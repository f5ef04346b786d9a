"""Every specialist trains a few steps on drawn shapes and is evaluated like ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uniperceiver.config import TrainConfig
from uniperceiver.config.data import ScenesConfig
from uniperceiver.data.datasets import open_dataset
from uniperceiver.demo import demo_config

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def few() -> TrainConfig:
    """The demo on a handful of drawn shapes."""
    config = demo_config("shapes")
    rows = {}
    for name, row in config.streams.items():
        assert isinstance(row.dataset, ScenesConfig)
        dataset = replace(row.dataset, images=6)
        rows[name] = replace(row, dataset=dataset, evaluation=replace(dataset, split="val", images=2), batch_size=2)
    return replace(config, streams=rows)


@pytest.mark.parametrize("stream", ["objects", "labels", "captions", "pairs", "language", "questions"])
def test_specialists_train_and_are_evaluated(few: TrainConfig, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import specialists

    row = few.streams[stream]
    for kind in specialists.SPECIALISTS[row.task.kind].values():
        result = specialists.run_specialist(kind, few, row, minutes=0.005)
        assert result["steps"] >= 1
        assert set(specialists.SHOWN[row.task.kind]) & result["metrics"].keys()


def test_the_encoders_learn_more_slowly(few: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import specialists

    row = few.streams["objects"]
    parts, _ = specialists.ingredients(few, row, open_dataset(row.dataset))
    slow, fast = sorted(
        specialists.build_optimizer(specialists.RegionDetector(parts), parts).param_groups,
        key=lambda group: group["lr"],
    )
    backbone = {id(p) for p in parts.backbone.parameters() if p.requires_grad}
    assert {id(p) for p in slow["params"]} == backbone
    assert len(fast["params"]) > 0


def test_the_detector_sees_pictures_in_use_as_in_training(few: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import specialists

    row = few.streams["objects"]
    parts, _ = specialists.ingredients(few, row, open_dataset(row.dataset))
    transform = specialists.RegionDetector(parts).network.transform
    for is_training in (True, False):
        seen, _ = transform.train(is_training)([torch.rand(3, 150, 100)])
        assert seen.image_sizes == [(150, 100)]
