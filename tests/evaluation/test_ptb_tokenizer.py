from __future__ import annotations

import json
from pathlib import Path

import pytest

from uniperceiver.evaluation.ptb_tokenizer import tokenize_lines

GOLDEN = Path(__file__).parents[1] / "golden" / "caption_scores.json"


def test_every_recorded_sentence_is_tokenised_as_by_the_official_program() -> None:
    content = json.loads(GOLDEN.read_text(encoding="utf-8"))
    sentences, expected = content["sentences"], content["tokens"]
    assert len(sentences) >= 300
    ours = [" ".join(words) for words in tokenize_lines(sentences)]
    assert [row for row in zip(sentences, ours, expected, strict=True) if row[1] != row[2]] == []


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("A man's dog doesn't bark .", "a man 's dog does n't bark"),
        ('"Stop!" he said, and they cannot.', "stop he said and they can not"),
        ("It costs $5.99 or £4 (half).", "it costs $ 5.99 or # 4 -lrb- half -rrb-"),
        ("Mr. Smith's black/white T-shirt...", "mr. smith 's black/white t-shirt"),
        ("wait — what?!", "wait -- what ?!"),
        ("", ""),
        (" . ! ", ""),
    ],
)
def test_sentences(sentence: str, words: str) -> None:
    assert tokenize_lines([sentence])[0] == [word for word in words.split() if word != "--"]


def test_a_line_is_read_in_the_context_of_the_next() -> None:
    assert tokenize_lines(["in the U.S.", "The dog"])[0] == ["in", "the", "u.s."]
    assert tokenize_lines(["vitamin C.", "The dog"])[0] == ["vitamin", "c"]
    assert tokenize_lines(["vitamin C.", "a dog"])[0] == ["vitamin", "c."]


def test_there_is_one_row_of_words_per_sentence() -> None:
    assert tokenize_lines(["a\nb", "", "c\u2028d\re"]) == [["a", "b"], [], ["c", "d", "e"]]
    assert tokenize_lines([""]) == [[]]


def test_a_long_text_takes_linear_time() -> None:
    assert len(tokenize_lines(["x1-" * 3000])[0]) > 0
