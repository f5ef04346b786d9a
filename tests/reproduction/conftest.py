"""A tiny joint training on drawn shapes, as the ablations start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from uniperceiver.config import (
    ImageSizeConfig,
    ModelConfig,
    OptimizerConfig,
    ProposalLossConfig,
    ScenesConfig,
    ScheduleConfig,
    StreamConfig,
    TaskConfig,
    TaskKind,
    TrainConfig,
    to_data,
)
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.reproduction.baseline import Baseline

VIEWS: dict[str, tuple[TaskKind, str]] = {
    "objects": ("detection", "objects"),
    "labels": ("classification", "labels"),
    "captions": ("captioning", "captions"),
    "pairs": ("retrieval", "captions"),
    "language": ("masked_language_modeling", "texts"),
    "questions": ("visual_question_answering", "questions"),
}


def stream(name: str) -> StreamConfig:
    """Four drawn scenes of 64 pixels."""
    kind, view = VIEWS[name]
    data = ScenesConfig(view=view, split="train", images=4, size=64, objects=(1, 2))  # type: ignore[arg-type]
    image = ImageSizeConfig(train=64, test=64, test_longest=64)
    return StreamConfig(
        task=TaskConfig(kind=kind, image=image, max_tokens=40, vocabulary_from_data=True, answers=10, beams=1),
        dataset=data,
        evaluation=replace(data, split="val", images=2),
        batch_size=4,
        sampling_weight=1.0,
    )


@pytest.fixture
def model_file(tokenizer: Tokenizer, tiny_model_config: ModelConfig, tmp_path: Path) -> Path:
    """The tiny model as a YAML file, its tokenizer beside it."""
    tokenizer.save(tmp_path / "tokenizer.json")
    text = replace(tiny_model_config.text, tokenizer=str(tmp_path / "tokenizer.json"))
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(to_data(replace(tiny_model_config, text=text))))
    return path


MakeBaseline = Callable[..., Baseline]


@pytest.fixture
def make_baseline(model_file: Path) -> MakeBaseline:
    """Makes a baseline of some streams, of so many steps."""
    from uniperceiver.config import load_config

    def make(*names: str, steps: int = 60, processes: int = 1) -> Baseline:
        training = TrainConfig(
            model=str(model_file),
            streams={name: stream(name) for name in names or VIEWS},
            schedule=ScheduleConfig(steps=100, minutes=5, warmup_steps=10),
            optimizer=OptimizerConfig(learning_rate=1e-3, backbone_scale=0.1, proposals_scale=0.7),
            proposal_loss=ProposalLossConfig(points=32),
            workers=0,
        )
        return Baseline(training, load_config(str(model_file)), steps, processes)

    return make
