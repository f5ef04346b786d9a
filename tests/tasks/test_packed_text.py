"""Texts one after the other in one sequence: by hand, and as the official code packs lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from uniperceiver.config import PlainTextConfig
from uniperceiver.data.clip_tokenizer import CLIP_SOURCE
from uniperceiver.data.datasets.plain_text import PlainText
from uniperceiver.data.records import TextRecord
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.tasks.language_modeling import LanguageModelingTask
from uniperceiver.tasks.masked_language_modeling import MaskedLanguageModelingTask
from uniperceiver.tasks.packed_text import packed

LINES = ["A red car isn't here.", "Go!", "Two unbelievably large dogs run on the grass, 12 times", "yes", "no ... no"]


def test_an_end_stands_between_texts_and_is_a_word_or_belongs_to_none(tokenizer: Tokenizer) -> None:
    red, car, yes, no = (tokenizer.encode(word, special=False)[0] for word in ("red", "car", "yes", "no"))
    t, *rest = tokenizer.encode("tab", special=False)
    assert len(rest) == 2
    end = tokenizer.end_id
    texts = ["red car", "yes", "no tab"]
    everything = [red, car, end, yes, end, no, t, *rest]
    assert packed(texts, tokenizer, 20) == (everything, [[0], [1], [3], [5], [6, 7, 8]])
    assert packed(texts, tokenizer, 8) == (everything[:8], [[0], [1], [3], [5], [6, 7]])
    assert packed(texts, tokenizer, 3) == ([red, car, end], [[0], [1]])
    assert packed(texts[:1], tokenizer, 20) == ([red, car], [[0], [1]])
    assert packed(texts, tokenizer, 20, ends_are_words=True) == (
        everything,
        [[0], [1], [2], [3], [4], [5], [6, 7, 8]],
    )
    assert packed(texts, tokenizer, 3, ends_are_words=True) == ([red, car, end], [[0], [1], [2]])
    assert packed(texts[:1], tokenizer, 20, ends_are_words=True) == ([red, car], [[0], [1]])


def official(lines: list[str], item: int, length: int, tokenizer: Tokenizer) -> list[int]:
    """Section 4 of the spec: words of lines with an end each until there are enough, the first ids and the last one."""
    words: list[list[int]] = []
    while len(words) < length:
        ids = tokenizer.encode(lines[item], special=False)
        words += [[ids[place] for place in word] for word in tokenizer.word_groups(lines[item], special=False)]
        words.append([tokenizer.end_id])
        item = (item + 1) % len(lines)
    ids = [index for word in words for index in word]
    return ids if len(ids) == length else [*ids[: length - 1], ids[-1]]


@pytest.fixture(scope="module")
def clip_words() -> Tokenizer:
    pytest.importorskip("open_clip", reason="brings CLIP's vocabulary")
    return Tokenizer.from_source(CLIP_SOURCE)


@pytest.mark.parametrize("length", [4, 9, 16, 40])
@pytest.mark.filterwarnings("ignore:a text of")
def test_lines_are_packed_as_officially(length: int, clip_words: Tokenizer, tmp_path: Path) -> None:
    """Down to the ids, with CLIP's words."""
    (tmp_path / "lines.txt").write_text("\n".join(LINES))
    dataset = PlainText(PlainTextConfig(str(tmp_path / "lines.txt"), packed_words=length))
    expected = [official(LINES, item, length, clip_words) for item in range(len(LINES))]
    records = [dataset[item] for item in range(len(LINES))]
    for record, ids in zip(records, expected, strict=True):
        found, _ = packed((record.text, *(record.following or ())), clip_words, length - 1)
        assert clip_words.framed(found) == ids


def test_ends_of_packed_lines_are_hidden_like_words(tokenizer: Tokenizer, setting: Callable, tmp_path: Path) -> None:
    """The last one as well, of a line that needs no other, too; lines that are not packed keep theirs."""
    (tmp_path / "lines.txt").write_text("a red car\ntwo dogs run on the grass\n")
    dataset = PlainText(PlainTextConfig(str(tmp_path / "lines.txt"), packed_words=6))
    masked = setting(kind="masked_language_modeling", vocabulary_from_data=True)
    task = MaskedLanguageModelingTask(masked, MaskedLanguageModelingTask.find_candidates(masked, dataset))
    assert tokenizer.end_id in task.candidates.token_ids
    torch.manual_seed(0)
    shares = task.collate([dataset[0]] * 3000).is_read.float().mean(dim=0)
    words = 3 + 1 + 6 + 1  # two ends among them
    expected = 0.15 + 0.85**words / words
    assert shares.tolist() == pytest.approx([0.0, *[expected] * words], abs=0.03)
    batch = task.collate([dataset[1]] * 100)
    assert batch.is_read[:, -1].any()
    assert (batch.targets[batch.is_read[:, -1], -1] == task.candidates.token_ids.index(tokenizer.end_id)).all()
    unpacked = TextRecord("two dogs run on the grass")
    assert not task.collate([unpacked] * 100).is_read[:, -1].any()


def test_both_tasks_read_what_is_packed(tokenizer: Tokenizer, setting: Callable) -> None:
    record, end = TextRecord("a red car", ("two dogs run",)), tokenizer.end_id
    whole = tokenizer.framed([*tokenizer.encode(record.text, special=False), end])[:-1]
    whole += [*tokenizer.encode("two dogs run", special=False), end]
    masked = setting(kind="masked_language_modeling")
    task = MaskedLanguageModelingTask(masked, MaskedLanguageModelingTask.find_candidates(masked, None))
    for seed in range(5):
        torch.manual_seed(seed)
        batch = task.collate([record])
        restored = batch.text.ids.clone()
        restored[batch.is_read] = torch.tensor(task.candidates.token_ids)[batch.targets[batch.is_read]]
        assert restored[0].tolist() == whole
    written = setting(kind="language_modeling", slots=False)
    writing = LanguageModelingTask(written, LanguageModelingTask.find_candidates(written, None))
    targets = writing.collate([record]).targets[0].tolist()
    assert [writing.candidates.token_ids[target] for target in targets] == whole[1:]
