"""A predictor that has seen nothing yet, of the tiny untrained model."""

from __future__ import annotations

import pytest

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint


@pytest.fixture
def predictor(checkpoint: Checkpoint) -> Predictor:
    return Predictor(checkpoint)
