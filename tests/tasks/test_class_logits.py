"""Losses of classes: smoothing, shares, and augmentation in the classification task."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uniperceiver.batches import ImageBatch
from uniperceiver.config import ImageSizeConfig, LinearHeadConfig, ModelConfig, TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.extending import extend
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.class_logits import classification_loss
from uniperceiver.tasks.classification import ClassificationBatch, ClassificationTask
from uniperceiver.tasks.task import TaskSetting

NAMES = ("cat", "dog", "red car", "blue ball")


def test_smoothing_spreads_a_part_over_all_classes() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 1])
    one_hot = torch.eye(4)[labels]
    expected = -((0.9 * one_hot + 0.1 / 4) * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(classification_loss(logits, labels, 0.1), expected)
    torch.testing.assert_close(classification_loss(logits, one_hot, 0.1), expected)


@pytest.fixture
def model(tiny_model_config: ModelConfig) -> UniPerceiver:
    torch.manual_seed(0)
    return UniPerceiver(tiny_model_config).eval()


def batch() -> ClassificationBatch:
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    return ClassificationBatch(ImageBatch(pixels, torch.zeros(4, 64, 64, dtype=torch.bool)), torch.arange(4))


def task(config: TaskConfig, tokenizer: Tokenizer, model: UniPerceiver) -> ClassificationTask:
    setting = TaskSetting(config, tokenizer, model.config.pixels)
    return ClassificationTask(setting, CandidateSet.from_texts(NAMES, tokenizer))


def test_mixed_pictures_are_compared_with_shares_also_of_drawn_candidates(
    model: UniPerceiver, tokenizer: Tokenizer
) -> None:
    config = TaskConfig("classification", mixup=0.8, cutmix=1.0, random_erasing=0.5, label_smoothing=0.1)
    for chosen in (config, replace(config, sampled_candidates=1)):
        asked = task(chosen, tokenizer, model)
        given = batch()
        torch.manual_seed(3)
        first = asked.loss(model, given)["names"]
        torch.manual_seed(3)
        torch.testing.assert_close(asked.loss(model, given)["names"], first)
        torch.manual_seed(4)
        assert not torch.isclose(asked.loss(model, given)["names"], first)
        assert torch.equal(given.images.pixels, batch().images.pixels)
        first.backward()


def test_a_head_takes_part_in_the_loss_and_in_predictions(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    asked = task(TaskConfig("classification"), tokenizer, model)
    before, loss = asked.predict(model, batch()), asked.loss(model, batch())["names"]
    extend(model, replace(model.config, heads=(LinearHeadConfig(NAMES),)))
    assert asked.predict(model, batch())[0].probabilities.tolist() == before[0].probabilities.tolist()
    with torch.no_grad():
        model.heads[0].bias[2] = 50.0
    assert {prediction.names[0] for prediction in asked.predict(model, batch())} == {"red car"}
    assert asked.loss(model, batch())["names"] > loss + 10
    others = ClassificationTask(asked.setting, CandidateSet.from_texts(NAMES[::-1], tokenizer))
    assert others.predict(model, batch())[0].names == before[0].names  # no head for these, in this order


def test_what_a_task_does_not_do_is_not_to_be_asked_of_it() -> None:
    with pytest.raises(ValueError, match="label_smoothing is for captioning, classification, retrieval, text_c"):
        TaskConfig("detection", label_smoothing=0.1)
    with pytest.raises(ValueError, match="slots: false is for captioning, language_modeling, not for retrieval"):
        TaskConfig("retrieval", slots=False)
    for wrong in ({"mixup": 0.8}, {"random_erasing": 0.1}, {"image": ImageSizeConfig(rand_augment=9)}):
        with pytest.raises(ValueError, match="for classification of pictures and clips, not for retrieval"):
            TaskConfig("retrieval", **wrong)
