"""v1's words: what is added, what <SPE> is, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uniperceiver.batches import TextBatch
from uniperceiver.config import WordEmbeddingConfig
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.word_embedding import WordEmbedding

CONFIG = WordEmbeddingConfig("words", vocabulary_size=20, positions=6, spe_id=19)


@pytest.fixture
def embedding() -> WordEmbedding:
    torch.manual_seed(0)
    return WordEmbedding(CONFIG, 8)


def text(*rows: list[int]) -> TextBatch:
    return TextBatch.from_ids(rows, padding_id=0, slot_id=19)


def test_word_position_and_type_are_added(embedding: WordEmbedding) -> None:
    segment = embedding(text([3, 19], [4]))
    expected = embedding.words.weight[19] + embedding.positions.weight[1] + embedding.token_types.weight[0]
    torch.testing.assert_close(segment.tokens[0, 1], expected)
    assert segment.is_slot is not None
    assert segment.is_slot.tolist() == [[False, True], [False, False]]
    assert segment.is_padding.tolist() == [[False, False], [False, True]]


def test_spe_is_bare_or_a_word_at_the_first_place(embedding: WordEmbedding) -> None:
    assert torch.equal(embedding.spe(), embedding.words.weight[19])
    word = WordEmbedding(replace(CONFIG, prefix_word=5), 8)
    expected = word.words.weight[5] + word.positions.weight[0] + word.token_types.weight[0]
    torch.testing.assert_close(word.spe(), expected)


def test_the_bias_of_spe_is_added_wherever_it_stands() -> None:
    embedding = WordEmbedding(replace(CONFIG, spe_bias=True), 8)
    before, spe = embedding(text([3, 19])).tokens, embedding.spe()
    with torch.no_grad():
        embedding.spe_bias.fill_(1.0)
    after = embedding(text([3, 19])).tokens
    torch.testing.assert_close(after - before, torch.tensor([0.0, 1.0])[None, :, None].expand(1, 2, 8))
    torch.testing.assert_close(embedding.spe() - spe, torch.ones(8))


def test_a_step_needs_no_earlier_words(embedding: WordEmbedding) -> None:
    cache = KeyValues()
    whole = TextBatch.with_slot_per_word([[3, 4]], 0, 19)
    segment, after = embedding.step(replace(whole.rows(torch.tensor([0]))), cache)
    assert after is cache
    assert torch.equal(segment.tokens, embedding(whole).tokens)
    assert segment.causal


def test_what_the_tables_do_not_hold_is_refused(embedding: WordEmbedding) -> None:
    with pytest.raises(ValueError, match="token id 20 is not in the vocabulary of 20"):
        embedding(text([20]))
    with pytest.raises(ValueError, match="7 tokens is too long: this model takes 6"):
        embedding(text([1] * 7))
    with pytest.raises(ValueError, match="without any token"):
        embedding(text([]))
