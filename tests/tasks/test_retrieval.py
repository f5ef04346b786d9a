"""Retrieval: the loss by hand, duplicates, one process against two, unit vectors, that it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from uniperceiver.data.records import CaptionedImage
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.retrieval import RetrievalTask

CAPTIONS = [("a red car", "the red car on the road"), ("two dogs",), ("a blue ball .", "is there a ball", "ball")]
MakeTask = Callable[..., RetrievalTask]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(**fields: object) -> RetrievalTask:
        chosen = setting(kind="retrieval", **fields)
        return RetrievalTask(chosen, RetrievalTask.find_candidates(chosen, None))

    return make


@pytest.fixture
def records(picture: Callable) -> list[CaptionedImage]:
    colours = [(220, 20, 20), (20, 220, 20), (20, 20, 220)]
    return [
        CaptionedImage(picture(colour), f"image{index}", captions)
        for index, (colour, captions) in enumerate(zip(colours, CAPTIONS, strict=True))
    ]


@torch.no_grad()
def logits(model: UniPerceiver, task: RetrievalTask, batch: object) -> torch.Tensor:
    """cos/τ of every picture with every drawn caption, from the predictions."""
    found = task.predict(model, batch)
    texts = np.concatenate([f.texts for f in found])[batch.drawn.numpy()]
    return torch.from_numpy(np.stack([f.image for f in found]) @ texts.T) / model.temperature()


def test_one_caption_of_the_own_picture_is_drawn(make_task: MakeTask, records: list[CaptionedImage]) -> None:
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        drawn = make_task().collate(records).drawn.tolist()
        assert drawn[0] in (0, 1)
        assert drawn[1] == 2
        assert drawn[2] in (3, 4, 5)
        seen.add(tuple(drawn))
    assert len(seen) > 3


def test_loss_is_the_cross_entropy_of_both_directions(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage]
) -> None:
    task = make_task()
    batch = task.collate(records)
    expected = logits(model, task, batch)
    with torch.no_grad():
        losses = task.loss(model, batch)
    torch.testing.assert_close(losses["image_to_text"], F.cross_entropy(expected, torch.arange(3)))
    torch.testing.assert_close(losses["text_to_image"], F.cross_entropy(expected.T, torch.arange(3)))


def test_duplicates_are_no_negatives(model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage]) -> None:
    """A picture that comes twice, and two pictures with the same caption."""
    task = make_task()
    twin = replace(records[1], image_id="other", captions=("Two  dogs",))
    again = replace(records[0], captions=("a green tree",))
    batch = task.collate([*records, twin, again])
    is_same = torch.zeros(5, 5, dtype=torch.bool)
    is_same[1, 3] = is_same[3, 1] = is_same[0, 4] = is_same[4, 0] = True
    expected = logits(model, task, batch).masked_fill(is_same, float("-inf"))
    with torch.no_grad():
        losses = task.loss(model, batch)
    torch.testing.assert_close(losses["image_to_text"], F.cross_entropy(expected, torch.arange(5)))
    torch.testing.assert_close(losses["text_to_image"], F.cross_entropy(expected.T, torch.arange(5)))


def test_a_single_pair_has_nothing_to_learn(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage]
) -> None:
    task = make_task()
    losses = task.loss(model, task.collate(records[:1]))
    assert all(loss.item() == 0 for loss in losses.values())


def test_embeddings_are_unit_vectors_whatever_the_batch(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage]
) -> None:
    task = make_task()
    together = task.predict(model, task.collate(records))
    for record, found in zip(records, together, strict=True):
        assert found.texts.shape == (len(record.captions), model.config.decoder.width)
        np.testing.assert_allclose(np.linalg.norm(found.image), 1, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(found.texts, axis=1), 1, atol=1e-5)
        (alone,) = task.predict(model, task.collate([record]))
        np.testing.assert_allclose(alone.image, found.image, atol=1e-5)
        np.testing.assert_allclose(alone.texts, found.texts, atol=1e-5)


def test_overfits_one_batch(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage], overfit: Callable
) -> None:
    task = make_task()
    batch = task.collate(records)
    history = overfit(model, task, batch, 20)
    assert history[-1]["sum"] < 0.4 < history[0]["sum"]
    assert logits(model, task, batch).argmax(dim=1).tolist() == [0, 1, 2]
