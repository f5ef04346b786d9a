"""A predictor of a tiny untrained model that knows every task."""

from __future__ import annotations

import pytest
import torch

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint, StoredTask
from uniperceiver.config import ImageSizeConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver

SIZE = ImageSizeConfig(train=64, test=64, test_longest=128)


@pytest.fixture
def checkpoint(tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Checkpoint:
    words = tuple(range(5, 60))
    tasks = {
        "names": StoredTask(TaskConfig("classification", SIZE), texts=("cat", "dog", "tree")),
        "objects": StoredTask(TaskConfig("detection", SIZE), texts=("cat", "dog")),
        "captions": StoredTask(TaskConfig("captioning", SIZE, max_tokens=6), token_ids=(tokenizer.end_id, *words)),
        "pairs": StoredTask(TaskConfig("retrieval", SIZE, max_tokens=12)),
        "words": StoredTask(TaskConfig("masked_language_modeling", SIZE, max_tokens=12), token_ids=words),
        "questions": StoredTask(
            TaskConfig("visual_question_answering", SIZE, max_tokens=16), texts=("yes", "no", "three")
        ),
    }
    torch.manual_seed(0)
    return Checkpoint(UniPerceiver(tiny_model_config), tokenizer, tasks)


@pytest.fixture
def predictor(checkpoint: Checkpoint) -> Predictor:
    return Predictor(checkpoint)
