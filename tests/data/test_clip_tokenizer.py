"""v1's tokenizer says exactly what the official one was recorded to say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as RawTokenizer

from uniperceiver.data.clip_tokenizer import MERGES, clip_tokenizer, read_merges, tidied
from uniperceiver.data.tokenizer import Tokenizer

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "uniperceiver_v1_tokenizer.json").read_text("utf-8")
)


@pytest.fixture(scope="module")
def raw() -> RawTokenizer:
    pytest.importorskip("open_clip", reason="brings CLIP's vocabulary")
    return clip_tokenizer(read_merges())


@pytest.fixture(scope="module")
def tokenizer(raw: RawTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Saved and read again: the folder of a checkpoint holds nothing more."""
    path = tmp_path_factory.mktemp("clip") / "tokenizer.json"
    raw.save(str(path))
    return Tokenizer.from_file(path)


@pytest.mark.parametrize("case", RECORDED["encode"], ids=lambda case: repr(case["text"])[:30])
def test_ids_are_the_recorded_ones(case: dict[str, Any], tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(case["text"], special=False) == case["ids"]
    assert tokenizer.encode_batch([case["text"]], special=False) == [case["ids"]]


@pytest.mark.parametrize("case", RECORDED["decode"], ids=lambda case: repr(case["text"])[:30])
def test_texts_are_the_recorded_ones(case: dict[str, Any], raw: RawTokenizer) -> None:
    assert raw.decode(case["ids"], skip_special_tokens=False) == case["text"]


def test_words_are_the_recorded_ones(tokenizer: Tokenizer) -> None:
    case = next(case for case in RECORDED["encode"] if case["text"] == "supercalifragilisticexpialidocious")
    assert tokenizer.word_groups(case["text"], special=False) == [list(range(len(case["ids"])))]


def test_special_ids(tokenizer: Tokenizer, raw: RawTokenizer) -> None:
    assert tokenizer.vocabulary_size == RECORDED["vocab_size"]
    assert {word: raw.token_to_id(word) for word in RECORDED["special"]} == RECORDED["special"]
    assert (tokenizer.padding_id, tokenizer.start_id) == (0, None)
    assert (tokenizer.end_id, tokenizer.slot_id) == (49407, 49410)
    assert 0 not in tokenizer.special_ids  # "!" pads, and is a word


def test_texts_end_but_have_no_start(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a photo of a cat")
    assert ids == [320, 1125, 539, 320, 2368, 49407]
    with pytest.warns(UserWarning, match="cut to max_tokens=3"):
        assert tokenizer.encode("a photo of a cat", max_tokens=3) == [320, 1125, 49407]
    assert tokenizer.word_groups("a photo", special=True) == [[0], [1]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x!<|spe|>", "x !<| spe |>"),  # the official pattern takes "!<|" together
        ("x<|spe|>", "x <|spe|>"),
        ("<|spe|><|spe|>!", "<|spe|> <|spe|> !"),
        ("x! <|SPE|>", "x ! <|spe|>"),
        ("!<|spe|><|spe|>", "!<| spe |><| spe |>"),  # nor is what follows a special word
    ],
)
def test_special_words_beside_others(text: str, words: str, tokenizer: Tokenizer) -> None:
    found = tokenizer.encode(text, special=False)
    assert found == [index for word in words.split() for index in tokenizer.encode(word, special=False)]
    assert found.count(49410) == words.count("<|spe|>")


def test_a_long_s_is_one_after_an_apostrophe(tokenizer: Tokenizer) -> None:
    """The official pattern ignores case, and ſ is one of an s."""
    assert tokenizer.encode("it'ſ", special=False) == [585, 6, 129, 379]
    assert tokenizer.encode("it's", special=False) == [585, 568]


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("A  Cat\n", "a cat"),
        ("&amp;lt;b&amp;gt;", "<b>"),
        ("“x”", '"x"'),
        ("schÃ¶n", "schön"),
        ("", ""),
        ("tail <|mask|>", "tail <|mask|>"),
    ],
)
def test_texts_are_tidied_first(text: str, tidy: str) -> None:
    assert tidied(text) == tidy


def test_vocabularies_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no vocabulary"):
        read_merges(tmp_path / "nothing")
    short = tmp_path / "short.txt"
    short.write_text("#version\na b\n")
    with pytest.raises(ValueError, match=f"expected {MERGES} lines"):
        read_merges(short)
    broken = tmp_path / "broken.txt.gz"
    broken.write_bytes(gzip.compress(b"#version\n")[:-4])
    with pytest.raises(ValueError, match="is not CLIP's"):
        read_merges(broken)
    with pytest.raises(ValueError, match="at least"):
        clip_tokenizer([("a", "b")])
