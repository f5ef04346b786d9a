"""A server with a tiny untrained model that knows every task."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint, StoredTask
from uniperceiver.config import ImageSizeConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits

SIZE = ImageSizeConfig(train=64, test=64, test_longest=96)


@pytest.fixture(scope="session")
def built() -> list[Predictor]:
    """The predictor once it is made: no test changes it."""
    return []


@pytest.fixture
def predictor(built: list[Predictor], tiny_model_config: ModelConfig, tokenizer: Tokenizer) -> Predictor:
    if not built:
        built.append(tiny_predictor(tiny_model_config, tokenizer))
    return built[0]


def tiny_predictor(config: ModelConfig, tokenizer: Tokenizer) -> Predictor:
    words = tuple(range(5, 60))
    tasks = {
        "names": StoredTask(TaskConfig("classification", SIZE), texts=("cat", "dog", "tree")),
        "objects": StoredTask(TaskConfig("detection", SIZE), texts=("red car", "blue ball")),
        "captions": StoredTask(TaskConfig("captioning", SIZE, max_tokens=6), token_ids=(tokenizer.end_id, *words)),
        "pairs": StoredTask(TaskConfig("retrieval", SIZE, max_tokens=12)),
        "words": StoredTask(TaskConfig("masked_language_modeling", SIZE, max_tokens=12), token_ids=words),
        "questions": StoredTask(
            TaskConfig("visual_question_answering", SIZE, max_tokens=16), texts=("yes", "no", "three")
        ),
    }
    torch.manual_seed(0)
    return Predictor(Checkpoint(UniPerceiver(config), tokenizer, tasks))


@pytest.fixture
def limits() -> Limits:
    return Limits(upload_bytes=2**20, pixels=250_000, seconds=20)


@pytest.fixture
def client(predictor: Predictor, limits: Limits) -> Iterator[TestClient]:
    with TestClient(create_app(predictor, "tiny", limits), raise_server_exceptions=False) as client:
        yield client


def encoded(width: int = 80, height: int = 60, kind: str = "PNG", seed: int = 0) -> bytes:
    """A file of a picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def photo() -> bytes:
    return encoded()
