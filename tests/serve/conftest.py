"""A server with the tiny untrained model that knows every task."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint
from uniperceiver.serve.api import create_app
from uniperceiver.serve.limits import Limits


@pytest.fixture(scope="session")
def predictor(checkpoint: Checkpoint) -> Predictor:
    return Predictor(checkpoint)


@pytest.fixture
def limits() -> Limits:
    return Limits(upload_bytes=2**20, pixels=250_000, seconds=300)


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
