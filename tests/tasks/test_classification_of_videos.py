"""Clips are classified as pictures are, by models that read frames."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uniperceiver.batches import VideoBatch
from uniperceiver.config import (
    BackboneConfig,
    ImageSizeConfig,
    ModelConfig,
    TaskConfig,
)
from uniperceiver.data import transforms
from uniperceiver.data.records import LabelledVideo
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.classification import ClassificationTask
from uniperceiver.tasks.task import TaskSetting

CONFIG = TaskConfig(kind="classification", image=ImageSizeConfig(train=32, test=32))


@pytest.fixture
def model(tiny_v1_config: ModelConfig) -> UniPerceiver:
    torch.manual_seed(0)
    return UniPerceiver(tiny_v1_config)


def clips() -> list[LabelledVideo]:
    """A dark clip and a bright one, each brightening a little."""
    dark = torch.linspace(20, 60, 4).to(torch.uint8)[:, None, None, None].expand(-1, 3, 40, 60)[None]
    return [LabelledVideo(dark, "dark", 0), LabelledVideo(dark + 170, "bright", 1)]


def test_clips_are_named_with_the_temperature_of_clips(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    setting = TaskSetting(CONFIG, tokenizer, model.config.pixels)
    task = ClassificationTask(setting, CandidateSet.from_texts(["red car", "two dogs"], tokenizer))
    batch = task.collate([transforms.test_transform("classification", CONFIG.image)(clip) for clip in clips()])
    assert isinstance(batch.images, VideoBatch)
    assert batch.images.pixels.shape == (2, 4, 3, 32, 32)
    torch.testing.assert_close(batch.images.pixels[0, 0, 0, 0, 0], torch.tensor((20 / 255 - 0.5) / 0.5))
    task.loss(model, batch)["names"].backward()
    assert model.log_inverse_temperatures["video_cls"].grad is not None
    assert model.log_inverse_temperatures["img_cls"].grad is None
    for found in task.predict(model.eval(), batch):
        assert set(found.names) == {"red car", "two dogs"}


def test_all_frames_are_cut_alike() -> None:
    frame = torch.randint(0, 255, (1, 1, 3, 40, 60), dtype=torch.uint8)
    clip = replace(clips()[0], frames=frame.expand(1, 4, -1, -1, -1))
    cut = transforms.train_transform("classification", CONFIG.image)(clip)
    assert isinstance(cut, LabelledVideo)
    assert cut.frames.shape == (1, 4, 3, 32, 32)
    assert torch.equal(cut.frames, cut.frames[:, :1].expand(-1, 4, -1, -1, -1))


def test_probabilities_are_those_of_the_views_on_average(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    setting = TaskSetting(CONFIG, tokenizer, model.config.pixels)
    task = ClassificationTask(setting, CandidateSet.from_texts(["red car", "two dogs"], tokenizer))
    views = torch.randint(0, 255, (2, 3, 4, 3, 32, 32), dtype=torch.uint8)
    joint = task.predict(model.eval(), task.collate([LabelledVideo(frames, "a", 0) for frames in views]))
    assert len(joint) == 2
    for prediction, frames in zip(joint, views, strict=True):
        alone = task.predict(model, task.collate([LabelledVideo(view[None], "a", 0) for view in frames]))
        expected = sum(each.probabilities[each.labels.argsort()] for each in alone) / 3
        assert prediction.probabilities[prediction.labels.argsort()] == pytest.approx(expected, abs=1e-6)
    uneven = [LabelledVideo(views[0], "a", 0), LabelledVideo(views[1, :2], "b", 1)]
    with pytest.raises(ValueError, match=r"the same number of views, got \[2, 3\]"):
        task.collate(uneven)


def test_models_of_single_pictures_refuse_clips(tokenizer: Tokenizer) -> None:
    setting = TaskSetting(CONFIG, tokenizer, BackboneConfig(name="resnet10t"))
    task = ClassificationTask(setting, CandidateSet.from_texts(["red car"], tokenizer))
    with pytest.raises(ValueError, match="videos need a model whose f_image reads frames"):
        task.collate(clips())
