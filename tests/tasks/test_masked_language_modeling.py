"""Masked language modelling: which words are hidden and how, what is read, that it learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from uniperceiver.data.records import CaptionedImage, TextRecord
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.masked_language_modeling import MaskedLanguageModelingTask

TEXTS = ["a red car beside a green tree .", "two dogs run on the grass .", "is there a blue ball ? yes no"]
MakeTask = Callable[..., MaskedLanguageModelingTask]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(**fields: object) -> MaskedLanguageModelingTask:
        chosen = setting(kind="masked_language_modeling", vocabulary_from_data=True, **fields)
        dataset = SimpleNamespace(texts=lambda: TEXTS)
        return MaskedLanguageModelingTask(chosen, MaskedLanguageModelingTask.find_candidates(chosen, dataset))

    return make


def test_hidden_words_can_be_put_back(make_task: MakeTask) -> None:
    task = make_task()
    tokenizer = task.setting.tokenizer
    for seed in range(20):
        torch.manual_seed(seed)
        batch = task.collate([TextRecord(text) for text in TEXTS])
        assert batch.is_read.any(dim=1).all()
        assert not (batch.is_read & batch.text.is_padding).any()
        restored = batch.text.ids.clone()
        restored[batch.is_read] = torch.tensor(task.candidates.token_ids)[batch.targets[batch.is_read]]
        for row, text in zip(restored.tolist(), TEXTS, strict=True):
            ids = tokenizer.encode(text)
            assert row[: len(ids)] == ids
        assert (batch.targets[~batch.is_read] == -1).all()
        hidden = [tuple(task.candidates.texts[t] for t in row[row >= 0].tolist()) for row in batch.targets]
        assert tuple(hidden) == batch.references


def test_rates_of_hiding(make_task: MakeTask) -> None:
    """15 % of the words; of these 80 % slots, 10 % random (which may be the word itself), 10 % unchanged."""
    task = make_task()
    text = "a red car beside a green tree . two dogs run"
    torch.manual_seed(0)
    batch = task.collate([TextRecord(text)] * 4000)
    original = torch.tensor(task.setting.tokenizer.encode(text))
    words = len(original) - 2
    assert batch.is_read.sum() / (4000 * words) == pytest.approx(0.15 + 0.85**words / words, abs=0.01)
    ids, old = batch.text.ids[batch.is_read], original.expand_as(batch.text.ids)[batch.is_read]
    assert (ids == task.setting.tokenizer.slot_id).float().mean() == pytest.approx(0.8, abs=0.02)
    expected = 0.1 + 0.1 / len(task.candidates)
    assert (ids == old).float().mean() == pytest.approx(expected, abs=0.02)


def test_all_pieces_of_a_word_share_its_fate(make_task: MakeTask) -> None:
    """A word the tokenizer knows only in pieces is hidden as a whole."""
    task = make_task()
    tokenizer = task.setting.tokenizer
    text = "tabird car"
    (word, _) = tokenizer.word_groups(text)
    assert len(word) > 1
    seen = Counter()
    for seed in range(60):
        torch.manual_seed(seed)
        batch = task.collate([TextRecord(text)])
        seen[tuple(batch.is_read[0, word].tolist())] += 1
        is_slot = batch.text.is_slot[0, word]
        assert is_slot.all() or not is_slot.any()
    assert set(seen) == {(True,) * len(word), (False,) * len(word)}


def test_the_hidden_words_follow_the_seed(make_task: MakeTask) -> None:
    task = make_task()

    def masked(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return task.collate([TextRecord(text) for text in TEXTS]).text.ids.tolist()

    assert masked(1) == masked(1) != masked(2)


def test_a_text_with_slots_is_a_question(model: UniPerceiver, make_task: MakeTask) -> None:
    task = make_task()
    batch = task.collate([TextRecord("a [MASK] car beside a [MASK] tree ."), TextRecord(TEXTS[1])])
    assert batch.is_read[0].nonzero().squeeze(1).tolist() == [2, 6]
    assert batch.references[0] == ()
    first, second = task.predict(model, batch)
    assert len(first) == 2
    assert len(second) == len(batch.references[1]) >= 1


def test_one_caption_of_a_picture_is_drawn(make_task: MakeTask) -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    drawn = set()
    for seed in range(20):
        torch.manual_seed(seed)
        batch = make_task().collate([CaptionedImage(image, "x", (TEXTS[0], TEXTS[1]))])
        assert batch.images is not None
        drawn.add(batch.text.ids.shape[1])
    assert len(drawn) == 2


def test_words_beside_pictures(model: UniPerceiver, make_task: MakeTask, picture: Callable, overfit: Callable) -> None:
    """The same text beside two pictures: only they can tell the hidden word, and they do."""
    task = make_task()
    records = [
        CaptionedImage(picture((220, 20, 20)), "red", ("a red car beside a green tree .",)),
        CaptionedImage(picture((20, 20, 220)), "blue", ("is there a blue ball ? yes no",)),
    ]
    batch = task.collate(records)
    batch.text.ids[:] = task.setting.tokenizer.slot_id  # nothing is left to read
    batch.is_read[:] = batch.targets >= 0
    history = overfit(model, task, batch, 60)
    assert history[-1]["words"] < 0.3 < history[0]["words"]
    other = replace(batch, images=replace(batch.images, pixels=batch.images.pixels.flip(0)))
    with torch.no_grad():
        assert task.loss(model, other)["words"] > 1
        given = task.predict(model, replace(batch, images=None), model.encode_image(batch.images))
    for ours, theirs in zip(task.predict(model, batch), given, strict=True):
        assert [f.words for f in ours] == [f.words for f in theirs]


def test_texts_with_and_without_pictures_do_not_mix(make_task: MakeTask, picture: Callable) -> None:
    pictured = CaptionedImage(picture((9, 9, 9)), "x", (TEXTS[0],))
    with pytest.raises(ValueError, match="a stream of its own"):
        make_task().collate([TextRecord(TEXTS[1]), pictured])


def test_no_word_at_all(model: UniPerceiver, make_task: MakeTask) -> None:
    """An empty text has nothing to hide: no predictions, a loss of zero that has gradients."""
    task = make_task()
    batch = task.collate([TextRecord("")])
    assert task.predict(model, batch) == [[]]
    loss = task.loss(model, batch)["words"]
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize("sampled", [None, 5])
def test_overfits_one_batch(model: UniPerceiver, make_task: MakeTask, overfit: Callable, sampled: int | None) -> None:
    task = make_task(sampled_candidates=sampled)
    torch.manual_seed(3)
    batch = task.collate([TextRecord(text) for text in TEXTS])
    history = overfit(model, task, batch, 40)
    assert history[-1]["words"] < 0.3 < history[0]["words"]
    for filled, hidden in zip(task.predict(model, batch), batch.references, strict=True):
        assert tuple(f.words[0] for f in filled) == hidden


def test_a_batch_is_its_texts_one_by_one(model: UniPerceiver, make_task: MakeTask) -> None:
    """Padding, too: the texts have different lengths."""
    task = make_task()
    records = [TextRecord("a [MASK] car"), TextRecord("two dogs run on the [MASK] ."), TextRecord("[MASK]")]
    together = task.predict(model, task.collate(records))
    for record, filled in zip(records, together, strict=True):
        ((alone,),) = task.predict(model, task.collate([record]))
        assert alone.words == filled[0].words
        np.testing.assert_allclose(alone.probabilities, filled[0].probabilities, atol=1e-5)
        assert len(alone.words) == 10
