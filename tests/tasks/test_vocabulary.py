"""Vocabularies: whole, from a file, from texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.vocabulary import places_of_tokens, word_tokens


def words(setting: Callable, texts: list[str], **fields: object) -> list[str]:
    chosen = setting(kind="captioning", **fields)
    return [chosen.tokenizer.decode([i]) for i in word_tokens(chosen.config, texts, chosen.tokenizer)]


def test_whole(setting: Callable) -> None:
    tokenizer = setting(kind="captioning").tokenizer
    assert len(words(setting, [])) == tokenizer.vocabulary_size - len(tokenizer.special_ids)


def test_from_texts(setting: Callable) -> None:
    assert set(words(setting, ["a red car", "Red dogs ☃"], vocabulary_from_data=True)) == {"a", "red", "car", "dogs"}


def test_from_a_file(setting: Callable, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("tree\ncar\n\n", encoding="utf-8")
    assert set(words(setting, ["ignored"], vocabulary=str(file))) == {"tree", "car"}


def test_errors(setting: Callable, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no vocabulary file .*words\.txt"):
        words(setting, [], vocabulary=str(tmp_path / "words.txt"))
    with pytest.raises(ValueError, match="exclude each other"):
        words(setting, [], vocabulary="x", vocabulary_from_data=True)
    with pytest.raises(ValueError, match="gives no words"):
        words(setting, ["☃"], vocabulary_from_data=True)


def test_places(setting: Callable) -> None:
    tokenizer = setting(kind="captioning").tokenizer
    ids = tokenizer.encode("red car", special=False)
    places = places_of_tokens(CandidateSet.from_token_ids(ids, tokenizer), tokenizer.vocabulary_size)
    assert places[ids].tolist() == [0, 1]
    assert (places >= 0).sum() == 2
    assert len(places) == tokenizer.vocabulary_size
