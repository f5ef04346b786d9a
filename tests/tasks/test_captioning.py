"""Captioning: training slots equal decoding steps, cached equals uncached, batched equals single, it learns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from uniperceiver.batches import TextBatch
from uniperceiver.config import ModelConfig
from uniperceiver.data.records import CaptionedImage
from uniperceiver.likelihood import log_likelihood
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.beam_search import beam_search
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.captioning import CaptioningBatch, CaptioningTask

MakeTask = Callable[..., CaptioningTask]
CAPTIONS = ["a red car", "two dogs run on the grass", "a blue ball ."]


@pytest.fixture
def make_task(setting: Callable) -> MakeTask:
    def make(**fields: object) -> CaptioningTask:
        chosen = setting(kind="captioning", vocabulary_from_data=True, **fields)
        dataset = SimpleNamespace(texts=lambda: CAPTIONS)
        return CaptioningTask(chosen, CaptioningTask.find_candidates(chosen, dataset))

    return make


@pytest.fixture
def records(picture: Callable) -> list[CaptionedImage]:
    colours = [(220, 20, 20), (20, 220, 20), (20, 20, 220)]
    return [
        CaptionedImage(picture(colour), f"image{index}", (caption,))
        for index, (colour, caption) in enumerate(zip(colours, CAPTIONS, strict=True))
    ]


@torch.no_grad()
def uncached_log_probabilities(
    task: CaptioningTask, model: UniPerceiver, batch: CaptioningBatch, picture: int, words: list[int]
) -> torch.Tensor:
    """Of the word after ``words`` (candidates), everything fed at once: (Y,)."""
    tokenizer = task.setting.tokenizer
    ids = [task.candidates.token_ids[word] for word in words]
    length = len(ids)
    is_slot = torch.zeros(1, length + 1, dtype=torch.bool)
    is_slot[:, -1] = task.setting.config.slots
    tokens = [*ids, tokenizer.slot_id] if task.setting.config.slots else [tokenizer.slot_id, *ids]
    text = TextBatch(
        torch.tensor([tokens]), torch.zeros_like(is_slot), torch.arange(length + 1)[None], is_slot, causal=True
    )
    image = model.encode_image(batch.images).segment.rows(torch.tensor([picture]))
    slot = model.decode(image, model.encode_text(text), attributes=task.attributes).segments[1][0, -1]
    return log_likelihood(slot, task.candidates.encode(model, task.attributes), model.temperature())


class Uncached:
    """The `NextWord` of a reference search: every sentence is fed from its first word at every step."""

    def __init__(self, task: CaptioningTask, model: UniPerceiver, batch: CaptioningBatch) -> None:
        self.task, self.model, self.batch = task, model, batch
        self.sentences: list[tuple[int, list[int]]] = [(picture, []) for picture in range(batch.images.size)]

    def __call__(self, words: torch.Tensor | None, parents: torch.Tensor) -> torch.Tensor:
        if words is not None:
            pairs = zip(parents.tolist(), words.tolist(), strict=True)
            self.sentences = [(self.sentences[p][0], [*self.sentences[p][1], word]) for p, word in pairs]
        return torch.stack(
            [uncached_log_probabilities(self.task, self.model, self.batch, *sentence) for sentence in self.sentences]
        )


def test_collate_gives_words_end_and_slots(make_task: MakeTask, records: list[CaptionedImage]) -> None:
    task = make_task()
    tokenizer = task.setting.tokenizer
    batch = task.collate(records)
    length = batch.targets.shape[1]
    assert batch.text.ids.shape == (3, 2 * length)
    for row, caption in enumerate(CAPTIONS):
        ids = [*tokenizer.encode(caption, special=False), tokenizer.end_id]
        assert batch.text.ids[row, : len(ids)].tolist() == ids
        assert batch.text.is_padding[row, len(ids) : length].all()
        found = [task.candidates.token_ids[i] for i in batch.targets[row, : len(ids)]]
        assert found == ids
        assert (batch.targets[row, len(ids) :] == -1).all()


def test_the_drawn_caption_follows_the_seed(make_task: MakeTask, picture: Callable) -> None:
    task = make_task()
    record = CaptionedImage(picture((9, 9, 9)), "x", tuple(CAPTIONS))

    def drawn(seed: int) -> list[int]:
        torch.manual_seed(seed)
        return task.collate([record]).text.ids[0].tolist()

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(20)}) == 3


def test_without_slots_there_is_the_word_before_each(make_task: MakeTask, records: list[CaptionedImage]) -> None:
    task = make_task(slots=False)
    with_slots, batch = make_task().collate(records), task.collate(records)
    assert batch.text.ids.shape == batch.targets.shape
    assert not batch.text.is_slot.any()
    torch.testing.assert_close(batch.targets, with_slots.targets)
    words = with_slots.text.ids[:, : batch.targets.shape[1]]
    assert (batch.text.ids[:, 0] == task.setting.tokenizer.slot_id).all()
    is_word = ~batch.text.is_padding[:, 1:]
    assert (batch.text.ids[:, 1:] == words[:, :-1])[is_word].all()


def test_long_captions_keep_the_end(make_task: MakeTask, picture: Callable) -> None:
    task = make_task()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tokenizer says once that it cut a text
        batch = task.collate([CaptionedImage(picture((9, 9, 9)), "x", ("a red car " * 20,))])
    assert batch.targets.shape == (1, task.setting.config.max_tokens)
    assert batch.text.ids[0, task.setting.config.max_tokens - 1] == task.setting.tokenizer.end_id


def test_words_outside_the_vocabulary_are_left_out(model: UniPerceiver, make_task: MakeTask, picture: Callable) -> None:
    task = make_task()
    batch = task.collate([CaptionedImage(picture((9, 9, 9)), "x", ("a small car",))])
    targets = [task.candidates.texts[i] if i >= 0 else None for i in batch.targets[0].tolist()]
    assert targets == ["a", None, "car", ""]
    assert task.loss(model, batch)["words"].isfinite()


def test_no_special_token_but_the_end_is_a_candidate(setting: Callable) -> None:
    chosen = setting(kind="captioning")
    candidates = CaptioningTask.find_candidates(chosen, SimpleNamespace())
    tokenizer = chosen.tokenizer
    assert set(candidates.token_ids) & tokenizer.special_ids == {tokenizer.end_id}
    assert len(candidates) == tokenizer.vocabulary_size - len(tokenizer.special_ids) + 1


def test_a_vocabulary_without_the_end_is_an_error(setting: Callable) -> None:
    chosen = setting(kind="captioning")
    with pytest.raises(ValueError, match="lacks the tokenizer's end token"):
        CaptioningTask(chosen, CandidateSet.from_token_ids([7, 8], chosen.tokenizer))


@pytest.mark.parametrize("slots", [True, False])
def test_training_predicts_as_decoding_does(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage], slots: bool
) -> None:
    """The loss equals the words' log-probabilities found one at a time, padding and other captions notwithstanding."""
    task = make_task(slots=slots)
    batch = task.collate(records)
    total, words = 0.0, 0
    for picture_index, row in enumerate(batch.targets.tolist()):
        caption = [word for word in row if word >= 0]
        for place, word in enumerate(caption):
            found = uncached_log_probabilities(task, model, batch, picture_index, caption[:place])
            total, words = total - float(found[word]), words + 1
    with torch.no_grad():
        assert float(task.loss(model, batch)["words"]) == pytest.approx(total / words, abs=1e-4)


@pytest.mark.parametrize("slots", [True, False])
@pytest.mark.parametrize(("beams", "causal_layers"), [(1, None), (3, None), (3, 0)])
def test_cached_search_equals_uncached(
    tiny_model_config: ModelConfig,
    make_task: MakeTask,
    records: list[CaptionedImage],
    beams: int,
    causal_layers: int | None,
    slots: bool,
) -> None:
    torch.manual_seed(0)
    config = replace(tiny_model_config, text=replace(tiny_model_config.text, causal_layers=causal_layers))
    model = UniPerceiver(config).eval()
    task = make_task(beams=beams, length_penalty=1.0, slots=slots)
    batch = task.collate(records[:2])
    reference = beam_search(Uncached(task, model, batch), 2, beams, task._end, 16, 1.0)
    for caption, sentence in zip(task.predict(model, batch), reference, strict=True):
        ids = [task.candidates.token_ids[word] for word in sentence.words]
        assert caption.text == task.setting.tokenizer.decode(ids)
        assert caption.log_probability == pytest.approx(sentence.log_probability, abs=1e-3)


def test_one_beam_is_greedy(model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage]) -> None:
    task = make_task(beams=1)
    batch = task.collate(records[:1])
    words: list[int] = []
    while len(words) < 16:
        word = int(uncached_log_probabilities(task, model, batch, 0, words).argmax())
        if word == task._end:
            break
        words.append(word)
    expected = task.setting.tokenizer.decode([task.candidates.token_ids[word] for word in words])
    assert task.predict(model, batch)[0].text == expected


def test_a_batch_is_its_pictures_one_by_one(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage]
) -> None:
    task = make_task(beams=2)
    together = task.predict(model, task.collate(records))
    for record, caption in zip(records, together, strict=True):
        (alone,) = task.predict(model, task.collate([record]))
        assert alone.text == caption.text
        assert alone.log_probability == pytest.approx(caption.log_probability, abs=1e-3)


def test_overfits_one_batch(
    model: UniPerceiver, make_task: MakeTask, records: list[CaptionedImage], overfit: Callable
) -> None:
    task = make_task(beams=2)
    batch = task.collate(records)
    history = overfit(model, task, batch, 30)
    assert history[-1]["words"] < 0.4 < history[0]["words"]
    tokenizer = task.setting.tokenizer
    expected = [tokenizer.decode(tokenizer.encode(caption)) for caption in CAPTIONS]
    assert [caption.text for caption in task.predict(model, batch)] == expected


def test_several_captions_share_one_look_at_their_picture(
    make_task: MakeTask, picture: Callable, model: UniPerceiver
) -> None:
    task = make_task(captions_per_image=2)
    records = [
        CaptionedImage(picture((220, 20, 20)), "0", tuple(CAPTIONS)),
        CaptionedImage(picture((20, 20, 220)), "1", (CAPTIONS[2],)),
    ]
    batch = task.collate(records)
    assert batch.images.size == 2
    assert batch.pictures.tolist() == [0, 0, 1]
    assert batch.text.ids.shape[0] == batch.targets.shape[0] == 3
    ends = [row[row >= 0].tolist() for row in batch.targets]
    assert ends[0] != ends[1], "drawn without repeats"
    with torch.no_grad():
        together = task.loss(model, batch)["words"]
        alone = []
        for row in range(3):
            image = model.encode_image(batch.images).segment.rows(batch.pictures[row : row + 1])
            text = batch.text.rows(torch.tensor([row]))
            slots = model.decode(image, model.encode_text(text), attributes=task.attributes).segments[1]
            words = task.candidates.encode(model, task.attributes)
            likelihood = log_likelihood(slots[0, batch.targets.shape[1] :], words, model.temperature("caption"))
            is_target = batch.targets[row] >= 0
            alone.append(-likelihood[is_target].gather(1, batch.targets[row][is_target, None]))
    torch.testing.assert_close(together, torch.cat(alone).mean(), rtol=1e-4, atol=1e-5)
