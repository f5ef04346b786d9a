"""Classification: learns, samples candidates, does not care about padding or batching."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uniperceiver.data.records import LabelledImage
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.classification import ClassificationTask

NAMES = ("red car", "green tree", "blue ball")


@pytest.fixture
def make_task(setting: Callable) -> Callable[..., ClassificationTask]:
    def make(**fields: object) -> ClassificationTask:
        chosen = setting(kind="classification", **fields)
        dataset = SimpleNamespace(names=NAMES)
        return ClassificationTask(chosen, ClassificationTask.find_candidates(chosen, dataset))

    return make


@pytest.fixture
def records(picture: Callable) -> list[LabelledImage]:
    colours = [(220, 20, 20), (20, 220, 20), (20, 20, 220)]
    return [LabelledImage(picture(colour), f"image{label}", label) for label, colour in enumerate(colours)]


@pytest.mark.parametrize("sampled", [None, 1])
def test_overfits_one_batch(
    model: UniPerceiver,
    make_task: Callable[..., ClassificationTask],
    records: list[LabelledImage],
    overfit: Callable,
    sampled: int | None,
) -> None:
    task = make_task(sampled_candidates=sampled)
    batch = task.collate(records)
    history = overfit(model, task, batch, 15)
    assert all(np.isfinite(losses["names"]) for losses in history)
    assert history[-1]["names"] < 0.3 < history[0]["names"]
    predictions = task.predict(model, batch)
    assert [p.names[0] for p in predictions] == list(NAMES)
    assert [int(p.labels[0]) for p in predictions] == [0, 1, 2]


def test_probabilities_are_sorted_and_add_up_to_one(
    model: UniPerceiver, make_task: Callable[..., ClassificationTask], records: list[LabelledImage]
) -> None:
    task = make_task()
    for prediction in task.predict(model, task.collate(records)):
        assert prediction.probabilities.sum() == pytest.approx(1.0)
        assert (np.diff(prediction.probabilities) <= 0).all()
        assert sorted(prediction.labels.tolist()) == [0, 1, 2]
        assert prediction.names == tuple(NAMES[i] for i in prediction.labels)


def test_a_batch_is_its_pictures_one_by_one(
    model: UniPerceiver, make_task: Callable[..., ClassificationTask], records: list[LabelledImage]
) -> None:
    task = make_task()
    together = task.predict(model, task.collate(records))
    for record, prediction in zip(records, together, strict=True):
        (alone,) = task.predict(model, task.collate([record]))
        np.testing.assert_array_equal(alone.labels, prediction.labels)
        np.testing.assert_allclose(alone.probabilities, prediction.probabilities, atol=1e-5)


def test_the_loss_is_the_mean_of_single_losses(
    model: UniPerceiver, make_task: Callable[..., ClassificationTask], records: list[LabelledImage]
) -> None:
    task = make_task()
    with torch.no_grad():
        single = [task.loss(model, task.collate([record]))["names"] for record in records]
        together = task.loss(model, task.collate(records))["names"]
    torch.testing.assert_close(together, torch.stack(single).mean(), atol=1e-5, rtol=1e-5)


def test_at_most_100_of_1203_names_are_listed(
    model: UniPerceiver, make_task: Callable[..., ClassificationTask], records: list[LabelledImage]
) -> None:
    task = make_task()
    many = CandidateSet.from_texts(
        [f"{a} {b} {i}" for i in range(5) for a in "ab" * 12 for b in "cdghikmnop"], task.setting.tokenizer
    )
    (prediction,) = ClassificationTask(task.setting, many).predict(model, task.collate(records[:1]))
    assert len(many) == 1200
    assert len(prediction.names) == 100
    assert prediction.probabilities.sum() < 1


def test_the_batch_moves(make_task: Callable[..., ClassificationTask], records: list[LabelledImage]) -> None:
    batch = make_task().collate(records).to("meta")
    assert {batch.labels.device.type, batch.images.pixels.device.type} == {"meta"}
