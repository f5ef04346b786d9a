"""A tiny model that embeds pictures, and pictures to embed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint, save_checkpoint
from uniperceiver.config import ImageSizeConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask


def write_noise(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (24 + seed % 5, 32, 3), dtype=np.uint8)
    Image.fromarray(values // (1 + seed % 3)).save(path)
    return path


@pytest.fixture
def model_folder(tiny_model_config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    size = ImageSizeConfig(train=64, test=64)
    tasks = {"pairs": StoredTask(TaskConfig("retrieval", size, max_tokens=12))}
    save_checkpoint(Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def predictor(model_folder: Path) -> Predictor:
    return Predictor.from_pretrained(model_folder)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten pictures in a folder and one below it, and something else."""
    for seed in range(10):
        write_noise(tmp_path / "photos" / ("more" if seed % 2 else "") / f"{seed}.png", seed)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"
