"""Y where words are predicted: one candidate per token of the vocabulary, or of a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from uniperceiver.batches import TextBatch
from uniperceiver.config import TaskConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting, TextData


def find_vocabulary(setting: TaskSetting, dataset: TextData, *, with_end: bool) -> CandidateSet:
    """Y where words are predicted: `word_tokens`, and before them the end token where sentences are to end."""
    texts = dataset.texts() if setting.config.vocabulary_from_data else ()
    words = word_tokens(setting.config, texts, setting.tokenizer)
    return CandidateSet.from_token_ids([setting.tokenizer.end_id, *words] if with_end else words, setting.tokenizer)


def word_tokens(config: TaskConfig, texts: Iterable[str], tokenizer: Tokenizer) -> list[int]:
    """Ids of the tokens that may be a word or a part of one, ascending.

    Those of the words in the file ``config.vocabulary``; or, with ``config.vocabulary_from_data``, those that occur in
    ``texts``; or all of the tokenizer's. Never a special token: padding, start, slot and unknown are no words, so they
    are not candidates, and the end is added where it is needed (`find_vocabulary`).

    Raises:
        FileNotFoundError: there is no file ``config.vocabulary``.
        ValueError: both restrictions are asked for, or nothing is left.
    """
    if config.vocabulary is not None and config.vocabulary_from_data:
        raise ValueError("vocabulary and vocabulary_from_data exclude each other: remove one of them from the task")
    if config.vocabulary is not None:
        path = Path(config.vocabulary)
        if not path.is_file():
            raise FileNotFoundError(
                f"no vocabulary file {path}: the task's `vocabulary` names a text file, one word a line"
            )
        words = path.read_text(encoding="utf-8").split()
        # A byte-level tokenizer has two tokens for a word: with the blank before it and without.
        found = _tokens_of([spelling for word in words for spelling in (word, f" {word}")], tokenizer)
    elif config.vocabulary_from_data:
        found = _tokens_of(texts, tokenizer)
    else:
        found = set(range(tokenizer.vocabulary_size))
    found -= tokenizer.special_ids
    if not found:
        source = config.vocabulary or "the training texts"
        raise ValueError(f"{source} gives no words to predict: it is empty, or the tokenizer knows none of its words")
    return sorted(found)


def _tokens_of(texts: Iterable[str], tokenizer: Tokenizer) -> set[int]:
    return {index for row in tokenizer.encode_batch(list(texts), special=False) for index in row}


def places_of_tokens(candidates: CandidateSet, vocabulary_size: int) -> Tensor:
    """Which candidate each token id is: (vocabulary_size,) int64, -1 for tokens that are none."""
    places = torch.full((vocabulary_size,), -1, dtype=torch.int64)
    places[torch.tensor(candidates.token_ids, dtype=torch.int64)] = torch.arange(len(candidates))
    return places


def next_words(
    ids: Sequence[Sequence[int]], places: Tensor, tokenizer: Tokenizer, slots: bool
) -> tuple[TextBatch, Tensor]:
    """Texts laid out to be predicted word by word, and what is to be found at their last L tokens.

    Args:
        ids: token ids of R texts of up to L words, the end token among them.
        places: as `places_of_tokens` gives them.
        tokenizer: of the texts.
        slots: `TaskConfig.slots`.

    Returns:
        The layout, (R, 2L) with slots or (R, L) without, and (R, L) int64, the candidate that each word is; -1 where
        padded or where the word is no candidate.
    """
    layout = TextBatch.with_slot_per_word if slots else TextBatch.with_word_before
    words = TextBatch.from_ids(ids, tokenizer.padding_id)
    targets = places[words.ids].masked_fill(words.is_padding, -1)
    return layout(ids, tokenizer.padding_id, tokenizer.slot_id), targets
