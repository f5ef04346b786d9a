"""A saved checkpoint of a tiny untrained model that knows every task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from uniperceiver.checkpoint import Checkpoint, StoredTask, save_checkpoint
from uniperceiver.config import ImageSizeConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver


@pytest.fixture
def untrained(tiny_model_config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    size, words = ImageSizeConfig(train=64, test=64, test_longest=96), tuple(range(5, 60))
    tasks = {
        "names": StoredTask(TaskConfig("classification", size), texts=("cat", "dog", "tree")),
        "objects": StoredTask(TaskConfig("detection", size), texts=("red car", "blue ball")),
        "captions": StoredTask(TaskConfig("captioning", size, max_tokens=6), token_ids=(tokenizer.end_id, *words)),
        "pairs": StoredTask(TaskConfig("retrieval", size, max_tokens=12)),
        "words": StoredTask(TaskConfig("masked_language_modeling", size, max_tokens=12), token_ids=words),
        "questions": StoredTask(
            TaskConfig("visual_question_answering", size, max_tokens=16), texts=("yes", "no", "three")
        ),
    }
    torch.manual_seed(0)
    save_checkpoint(Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks), tmp_path / "model")
    return tmp_path / "model"
