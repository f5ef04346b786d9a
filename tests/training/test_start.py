"""What a checkpoint keeps of the task of a stream."""

from __future__ import annotations

import pytest

from uniperceiver.config import (
    DatasetConfig,
    FrameSamplingConfig,
    ModelConfig,
    ScenesConfig,
    StreamConfig,
    TaskConfig,
    VideoCsvConfig,
)
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.classification import ClassificationTask
from uniperceiver.tasks.task import TaskSetting
from uniperceiver.training.start import stored

STRIDE, EVEN = FrameSamplingConfig(4, stride=32), FrameSamplingConfig(4, clips=3)
FIRST = FrameSamplingConfig(4, stride=32, start="first")


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        (VideoCsvConfig("val.csv", "videos", sampling=EVEN), EVEN),
        (ScenesConfig("motions", "val", 4, sampling=EVEN), EVEN),
        (ScenesConfig("labels", "val", 4, sampling=EVEN), None),
        (None, FIRST),
    ],
    ids=["videos", "clips", "pictures", "training alone"],
)
def test_which_frames_evaluation_looks_at(
    evaluation: DatasetConfig | None,
    expected: FrameSamplingConfig | None,
    tiny_v1_config: ModelConfig,
    tokenizer: Tokenizer,
) -> None:
    """And none at random."""
    config = TaskConfig("classification")
    setting = TaskSetting(config, tokenizer, tiny_v1_config.pixels)
    task = ClassificationTask(setting, CandidateSet.from_texts(["red", "blue"], tokenizer))
    videos = VideoCsvConfig("train.csv", "videos", sampling=STRIDE)
    kept = stored(task, StreamConfig(config, videos, 2, 1.0, evaluation=evaluation))
    assert kept.sampling == expected
    assert (kept.config, kept.texts) == (config, ("red", "blue"))
