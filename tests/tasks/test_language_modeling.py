"""Auto-regressive language modelling: what sees what, with a picture as captioning, that it learns, both families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uniperceiver.data.records import CaptionedImage, TextRecord
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.captioning import CaptioningTask
from uniperceiver.tasks.language_modeling import LanguageModelingTask

TEXTS = ["a red car beside a green tree .", "two dogs run", "is there a blue ball ? yes"]
DATASET = SimpleNamespace(texts=lambda: TEXTS)
MakeTask = Callable[..., LanguageModelingTask]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(**fields: object) -> LanguageModelingTask:
        chosen = setting(kind="language_modeling", vocabulary_from_data=True, **fields)
        return LanguageModelingTask(chosen, LanguageModelingTask.find_candidates(chosen, DATASET))

    return make


@pytest.mark.parametrize("slots", [True, False])
@pytest.mark.parametrize("family", ["model", "v1_model"])
def test_a_word_depends_on_those_before_it_alone(
    family: str, slots: bool, request: pytest.FixtureRequest, make_task: MakeTask
) -> None:
    model, task = request.getfixturevalue(family), make_task(slots=slots)
    texts = [TextRecord("two dogs run beside a tree"), TextRecord("two dogs beside")]
    one, other = task.predict(model, task.collate(texts))
    assert one.words[:2] == other.words[:2] == ("two", "dogs")
    np.testing.assert_allclose(one.log_probabilities[:2], other.log_probabilities[:2], atol=1e-5)
    assert one.guesses[2] == other.guesses[2]
    assert one.words[-1] == other.words[-1] == ""
    assert (one.words[3], other.words[2]) == ("beside", "beside")
    assert one.log_probabilities[3] != pytest.approx(other.log_probabilities[2], abs=1e-4)
    (alone,) = task.predict(model, task.collate(texts[1:]))
    np.testing.assert_allclose(alone.log_probabilities, other.log_probabilities, atol=1e-5)


def test_the_loss_is_the_mean_over_all_words(model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task()
    batch = task.collate([TextRecord(text) for text in TEXTS])
    logs = np.concatenate([found.log_probabilities for found in task.predict(model, batch)])
    with torch.no_grad():
        assert task.loss(model, batch)["words"].item() == pytest.approx(-logs.mean(), abs=1e-5)


def test_unknown_words_are_not_counted(model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task()
    (found,) = task.predict(model, task.collate([TextRecord("two cat dogs")]))
    assert found.words == ("two", "dogs", "")


def test_long_texts_keep_their_end(make_task: MakeTask) -> None:
    task = make_task()
    task = LanguageModelingTask(
        replace(task.setting, config=replace(task.setting.config, max_tokens=4)), task.candidates
    )
    batch = task.collate([TextRecord(TEXTS[0])])
    assert batch.targets.shape == (1, 4)
    assert batch.text.ids[0, 3] == task.setting.tokenizer.end_id


@pytest.mark.parametrize("family", ["model", "v1_model"])
@pytest.mark.parametrize("slots", [True, False])
def test_with_a_picture_it_is_captioning(
    family: str, slots: bool, request: pytest.FixtureRequest, make_task: MakeTask, picture: Callable
) -> None:
    model, task = request.getfixturevalue(family), make_task(slots=slots)
    records = [
        CaptionedImage(picture(colour), str(colour), (text,))
        for colour, text in zip([(200, 20, 20), (20, 200, 20), (20, 20, 200)], TEXTS, strict=True)
    ]
    captioning = CaptioningTask(task.setting, task.candidates)
    with torch.no_grad():
        expected = captioning.loss(model, captioning.collate(records))["words"]
        found = task.loss(model, task.collate(records))["words"]
    torch.testing.assert_close(found, expected)
    batch = task.collate(records)
    features = model.encode_image(batch.images)
    known = task.predict(model, replace(batch, images=None), features)
    seen = task.predict(model, batch)
    for one, other in zip(known, seen, strict=True):
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-5)


def test_texts_and_pictures_do_not_mix(make_task: MakeTask, picture: Callable) -> None:
    records = [CaptionedImage(picture((1, 2, 3)), "p", ("a red car",)), TextRecord("two dogs")]
    with pytest.raises(ValueError, match="with and without pictures"):
        make_task().collate(records)


@pytest.mark.parametrize("family", ["model", "v1_model"])
def test_overfits_one_batch(
    family: str, request: pytest.FixtureRequest, make_task: MakeTask, overfit: Callable
) -> None:
    model, task = request.getfixturevalue(family), make_task()
    batch = task.collate([TextRecord(text) for text in TEXTS])
    history = overfit(model, task, batch, 40)
    assert history[-1]["sum"] < 1.0 < history[0]["sum"]
    found = task.predict(model, batch)
    hits = [guesses[0] == word for text in found for word, guesses in zip(text.words, text.guesses, strict=True)]
    assert np.mean(hits) > 0.7


def test_temperatures_with_and_without_a_picture(
    v1_model: UniPerceiver, make_task: MakeTask, picture: Callable
) -> None:
    task, inverse = make_task(), v1_model.log_inverse_temperatures
    task.loss(v1_model, task.collate([TextRecord(TEXTS[0])]))["words"].backward()
    assert [name for name in inverse if inverse[name].grad is not None] == ["text_caption"]
    v1_model.zero_grad(set_to_none=True)
    task.loss(v1_model, task.collate([CaptionedImage(picture((9, 9, 9)), "p", (TEXTS[0],))]))["words"].backward()
    assert [name for name in inverse if inverse[name].grad is not None] == ["caption"]
