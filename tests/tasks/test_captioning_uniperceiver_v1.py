"""Captions of converted v1 models are those that the official two-pass search found, word by word."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.models import WordLevel
from torch import Tensor

from uniperceiver.batches import ImageBatch
from uniperceiver.config import PatchEncoderConfig, TaskConfig
from uniperceiver.convert.uniperceiver_v1 import V1Options, convert_uniperceiver_v1
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.data.clip_tokenizer import END, SPE
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.tasks.beam_search import beam_search
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.captioning import CaptioningTask, _NextWord
from uniperceiver.tasks.task import TaskSetting

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS = 1000


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The recorded models' thousand words, with <SPE> and the end where they have them."""
    words = [f"w{index}" for index in range(WORDS)]
    words[996], words[999] = END, SPE
    return Tokenizer(RawTokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="w0")))


class SearchOfConverted:
    """A converted model about to search captions of the recorded pictures; keeps what it says of every next word."""

    def __init__(self, name: str, tokenizer: Tokenizer) -> None:
        tensors = load_file(GOLDEN / f"uniperceiver_v1_{name}.safetensors")
        state = {key.removeprefix("param/"): value for key, value in tensors.items() if key.startswith("param/")}
        model = convert_uniperceiver_v1(ReleaseFile.from_content(state), V1Options(heads=4)).model
        assert isinstance(model.config.pixels, PatchEncoderConfig)
        setting = TaskSetting(TaskConfig(kind="captioning"), tokenizer, model.config.pixels)
        task = CaptioningTask(setting, CandidateSet.from_token_ids(range(WORDS), tokenizer))
        with torch.no_grad():
            images = ImageBatch(tensors["in/cap/input0"], torch.zeros(3, 64, 64, dtype=torch.bool))
            self._next_word = _NextWord(task, model, model.encode_image(images))
        self.steps: list[Tensor] = []

    def __call__(self, words: Tensor | None, parents: Tensor) -> Tensor:
        self.steps.append(self._next_word(words, parents))
        return self.steps[-1]


SEARCHES = [("gen_cap", 2, 0.0), ("gen_cap_b3lp1", 3, 1.0), ("gen_cap_eos", 2, 0.0)]


def end_of(name: str, search: str, tokenizer: Tokenizer) -> int:
    """The end token; ``gen_cap_eos`` ends sentences with another word, so that some end early."""
    more = load_file(GOLDEN / f"uniperceiver_v1_{name}_more.safetensors")
    return int(more["in/gen_cap_eos/eos_id"]) if search == "gen_cap_eos" else tokenizer.end_id


@pytest.mark.parametrize(("search", "beams", "penalty"), SEARCHES)
@pytest.mark.parametrize("name", ["dense", "moe"])
def test_the_search_finds_the_recorded_captions(
    name: str, search: str, beams: int, penalty: float, tokenizer: Tokenizer
) -> None:
    """Sentences that end early keep their score."""
    more = load_file(GOLDEN / f"uniperceiver_v1_{name}_more.safetensors")
    end = end_of(name, search, tokenizer)
    next_word = SearchOfConverted(name, tokenizer)
    found = beam_search(next_word, 3, beams, end=end, max_words=6, length_penalty=penalty)
    expected = [tuple(word for word in row if word != end) for row in more[f"out/{search}/ids"].tolist()]
    assert [sentence.words for sentence in found] == expected
    totals = more[f"out/{search}/word_logp"].sum(dim=1)
    torch.testing.assert_close(torch.tensor([s.log_probability for s in found]), totals, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("search", "beams", "penalty"), SEARCHES)
@pytest.mark.parametrize("name", ["dense", "moe"])
def test_every_step_of_the_search_sees_the_recorded_logits(
    name: str, search: str, beams: int, penalty: float, tokenizer: Tokenizer
) -> None:
    """Log-probabilities of every tenth word after every beam. Ours feeds no beam that has ended."""
    recorded = load_file(GOLDEN / "uniperceiver_v1_search.safetensors")
    next_word = SearchOfConverted(name, tokenizer)
    beam_search(next_word, 3, beams, end=end_of(name, search, tokenizer), max_words=6, length_penalty=penalty)
    ended = 0
    for step, log_probabilities in enumerate(next_word.steps):
        expected = recorded[f"{name}/{search}/step{step}"]
        ended += len(expected) - len(log_probabilities)
        found = log_probabilities[:, ::10]
        torch.testing.assert_close(found, rows_of(expected, found), atol=1e-4, rtol=1e-5)
    assert len(next_word.steps) == 6
    assert (ended > 0) == (search == "gen_cap_eos")


def rows_of(recorded: Tensor, found: Tensor) -> Tensor:
    """Of the recorded rows those that come closest to the found ones, in the same order."""
    rows: list[int] = []
    for row in found:
        begin = rows[-1] + 1 if rows else 0
        rows.append(begin + int((recorded[begin:] - row).abs().amax(dim=1).argmin()))
    return recorded[rows]
