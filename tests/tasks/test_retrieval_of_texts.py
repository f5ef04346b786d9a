"""Retrieval with texts on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from uniperceiver.data.records import CaptionedImage, PairedText
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.retrieval import RetrievalTask
from uniperceiver.text_predictions import PartnerEmbeddings

RECORDS = [
    PairedText("how many birds are there ?", "0", ("three",)),
    PairedText("is there a blue ball ?", "1", ("yes", "a blue ball")),
    PairedText("two dogs run on the", "2", ("grass",)),
]


@pytest.fixture
def task(setting: Callable) -> RetrievalTask:
    chosen = setting(kind="retrieval")
    return RetrievalTask(chosen, RetrievalTask.find_candidates(chosen, None))


@torch.no_grad()
def logits(model: UniPerceiver, task: RetrievalTask, batch: object) -> torch.Tensor:
    found = task.predict(model, batch)
    assert all(isinstance(entry, PartnerEmbeddings) for entry in found)
    partners = np.concatenate([entry.partners for entry in found])[batch.drawn.numpy()]
    return torch.from_numpy(np.stack([entry.text for entry in found]) @ partners.T) / model.temperature("retrieve")


@pytest.mark.parametrize("family", ["model", "v1_model"])
def test_loss_is_the_cross_entropy_of_both_directions(
    family: str, request: pytest.FixtureRequest, task: RetrievalTask
) -> None:
    model = request.getfixturevalue(family)
    batch = task.collate(RECORDS)
    expected = logits(model, task, batch)
    with torch.no_grad():
        losses = task.loss(model, batch)
    torch.testing.assert_close(losses["text_to_partner"], F.cross_entropy(expected, torch.arange(3)))
    torch.testing.assert_close(losses["partner_to_text"], F.cross_entropy(expected.T, torch.arange(3)))


def test_the_same_text_twice_is_no_negative(model: UniPerceiver, task: RetrievalTask) -> None:
    batch = task.collate([*RECORDS, replace(RECORDS[0], text_id="3", partners=("two dogs",))])
    is_same = torch.zeros(4, 4, dtype=torch.bool)
    is_same[0, 3] = is_same[3, 0] = True
    expected = logits(model, task, batch).masked_fill(is_same, float("-inf"))
    with torch.no_grad():
        found = task.loss(model, batch)["text_to_partner"]
    torch.testing.assert_close(found, F.cross_entropy(expected, torch.arange(4)))


@pytest.mark.parametrize("family", ["model", "v1_model"])
def test_overfits_one_batch(
    family: str, request: pytest.FixtureRequest, task: RetrievalTask, overfit: Callable
) -> None:
    model = request.getfixturevalue(family)
    batch = task.collate(RECORDS)
    history = overfit(model, task, batch, 25)
    assert history[-1]["sum"] < 0.5 < history[0]["sum"]
    assert logits(model, task, batch).argmax(dim=1).tolist() == [0, 1, 2]


def test_pictures_and_texts_do_not_mix(task: RetrievalTask, picture: Callable) -> None:
    with pytest.raises(ValueError, match="pictures and texts to search with"):
        task.collate([RECORDS[0], CaptionedImage(picture((1, 2, 3)), "p", ("a red car",))])
