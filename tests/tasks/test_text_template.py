"""Templates in ids: where blanks go, where the slot stands, what is cut."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.tasks.glue import GLUE
from uniperceiver.tasks.text_template import TextTemplate

FIRST, SECOND = "two dogs run on the grass.", "the man rides a bicycle"


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    """RoBERTa's kind: the blank before a word belongs to its token, and absorbs the one before a mask."""
    raw = RawTokenizer(models.BPE(unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=specials, initial_alphabet=alphabet)
    raw.train_from_iterator([FIRST, SECOND, "it is this ."], trainer)
    return Tokenizer(raw)


def joint(pattern: str, tokenizer: Tokenizer, end: str) -> list[int]:
    """The whole text encoded at once, special tokens written out."""
    first = FIRST.removesuffix(".")
    text = pattern.replace("{first_without_stop}", first).replace("{first}", FIRST).replace("{second}", SECOND)
    return tokenizer.encode(text.replace("{slot}", tokenizer.slot).replace("{end}", end))


@pytest.mark.parametrize("task", GLUE)
def test_as_if_the_whole_text_were_encoded(task: str, tokenizer: Tokenizer) -> None:
    template = TextTemplate(GLUE[task].template, tokenizer, 64)
    ids, place = template.encode(FIRST, SECOND if template.has_second else None)
    assert ids == joint(GLUE[task].template, tokenizer, "[SEP]")
    assert ids[place] == tokenizer.slot_id


@pytest.mark.parametrize("task", GLUE)
def test_the_same_with_the_tokenizer_of_v1(task: str) -> None:
    pytest.importorskip("open_clip")
    from uniperceiver.data.clip_tokenizer import END, clip_tokenizer, read_merges

    tokenizer = Tokenizer(clip_tokenizer(read_merges()))
    template = TextTemplate(GLUE[task].template, tokenizer, 64)
    ids, place = template.encode(FIRST, SECOND if template.has_second else None)
    assert ids == joint(GLUE[task].template, tokenizer, END)
    assert ids[place] == tokenizer.slot_id == 49410
    if task == "sst2":
        assert ids[-3:] == [49410, 269, 49407]


@pytest.fixture(scope="module")
def v1() -> Tokenizer:
    pytest.importorskip("open_clip")
    from uniperceiver.data.clip_tokenizer import clip_tokenizer, read_merges

    return Tokenizer(clip_tokenizer(read_merges()))


@pytest.mark.parametrize(
    ("task", "between"),
    [
        ("rte", "? <|endoftext|> it is"),
        ("mrpc", "."),
        ("qqp", "<|endoftext|>"),
        ("qnli", "<|endoftext|> it is"),
    ],
)
@pytest.mark.parametrize("text", ["a dog runs.", "a dog runs .", "it is 3 p.m."])
def test_v1_drops_the_full_stop_of_the_first_text(task: str, between: str, text: str, v1: Tokenizer) -> None:
    """The official GLUE.py drops the last id where it is 269, of the first text only."""
    ids, _ = TextTemplate(GLUE[task].template, v1, 64).encode(text, "it sleeps.")
    first = v1.encode(text, special=False)
    assert first[-1] == 269
    assert ids == [*first[:-1], *v1.encode(f"{between} <|spe|> , it sleeps.")]


@pytest.mark.parametrize(
    ("task", "text"),
    [("mnli", "a dog runs."), ("stsb", "a dog runs."), ("qqp", "a dog runs..."), ("qqp", "does a dog run?")],
)
def test_other_ends_of_a_first_text_stay(task: str, text: str, v1: Tokenizer) -> None:
    ids, place = TextTemplate(GLUE[task].template, v1, 64).encode(text, "it sleeps.")
    first = v1.encode(text, special=False)
    assert ids[: len(first)] == first
    assert place - len(first) == (task == "qqp")


def test_an_unknown_word_is_no_full_stop() -> None:
    words = {word: i for i, word in enumerate(["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "red", "car"])}
    raw = RawTokenizer(models.WordLevel(words, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.add_special_tokens(["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer = Tokenizer(raw)
    ids, place = TextTemplate("{first_without_stop} {slot} {second}", tokenizer, 40).encode("red bicycle", "car")
    assert ids == [*tokenizer.framed([words["red"], words["[UNK]"], tokenizer.slot_id, words["car"]])]
    assert place == 3


def test_blanks_stand_before_words_in_byte_level_tokens(byte_level: Tokenizer) -> None:
    template = TextTemplate("{first} {end} it is {slot} , {second}", byte_level, 200)
    ids, place = template.encode(FIRST, SECOND)
    assert ids[place] == byte_level.slot_id
    parts = [FIRST, " it is", " ,", f" {SECOND}"]
    encoded = [byte_level.encode(part, special=False) for part in parts]
    slot, end = [byte_level.slot_id], [byte_level.end_id]
    assert ids == byte_level.framed([*encoded[0], *end, *encoded[1], *slot, *encoded[2], *encoded[3]])


@pytest.mark.parametrize("lengths", [(3, 30), (30, 3), (30, 30), (1, 1)])
def test_the_longer_text_is_cut_and_the_slot_stays(lengths: tuple[int, int], tokenizer: Tokenizer) -> None:
    template = TextTemplate("{first} . {slot} , {second}", tokenizer, 20)
    first, second = ("red " * lengths[0]).strip(), ("car " * lengths[1]).strip()
    ids, place = template.encode(first, second)
    (red,), (car,) = tokenizer.encode_batch(["red", "car"], special=False)
    kept = ids.count(red), ids.count(car)
    assert ids[place] == tokenizer.slot_id
    assert len(ids) <= 20
    # 15 tokens are left for the texts.
    assert kept == {(3, 30): (3, 12), (30, 3): (12, 3), (30, 30): (8, 7), (1, 1): (1, 1)}[lengths]


def test_what_is_written_in_a_text_is_no_place(tokenizer: Tokenizer) -> None:
    template = TextTemplate("{first} it is {slot} .", tokenizer, 40)
    ids, place = template.encode("a [MASK] {slot} car", None)
    assert ids[place] == tokenizer.slot_id
    assert place == len(ids) - 3
    assert ids.count(tokenizer.slot_id) == 2


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{first} it is", r"needs one \{slot\}"),
        ("{slot} it is", r"needs one \{slot\}, one \{first\}"),
        ("{first} {slot} {slot}", "needs one"),
        ("{first} {slot} {second} {second}", "at most one"),
        ("{first} {label} {slot}", r"has \{label\}: known are"),
        ("{first} " + "it " * 20 + "{slot}", "leaves no room"),
    ],
)
def test_templates_that_cannot_be_used(pattern: str, message: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=message):
        TextTemplate(pattern, tokenizer, 20)


def test_one_text_and_two(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="is for one text, but a record has two texts"):
        TextTemplate("{first} {slot}", tokenizer, 20).encode("a", "b")
    with pytest.raises(ValueError, match="is for two texts, but a record has one text"):
        TextTemplate("{first} {slot} {second}", tokenizer, 20).encode("a", None)
