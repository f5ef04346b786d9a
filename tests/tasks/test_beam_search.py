"""Beam search against every sentence written out, on random little languages."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from uniperceiver.tasks.beam_search import beam_search

END = 0


class Language:
    """Log-probabilities of the next word as a fixed function of the picture and of all words before it."""

    def __init__(self, pictures: int, words: int, seed: int) -> None:
        self.words = words
        self.seed = seed
        self.sentences: list[tuple[int, ...]] = []
        self.picture_of = list(range(pictures))
        self.rows_fed: list[int] = []

    def after(self, picture: int, sentence: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, picture, sentence)) % 2**31)
        return (2 * torch.randn(self.words, generator=generator)).log_softmax(dim=0)

    def __call__(self, words: Tensor | None, parents: Tensor) -> Tensor:
        if words is None:
            self.sentences = [()] * len(parents)
        else:
            rows = list(zip(parents.tolist(), words.tolist(), strict=True))
            self.sentences = [(*self.sentences[parent], word) for parent, word in rows]
            self.picture_of = [self.picture_of[parent] for parent, _ in rows]
        self.rows_fed.append(len(parents))
        rows_ = zip(self.picture_of, self.sentences, strict=True)
        return torch.stack([self.after(picture, sentence) for picture, sentence in rows_])

    def score(self, picture: int, sentence: tuple[int, ...], longest: int) -> float:
        """Log-probability of a sentence, its end included unless the bound cuts it off."""
        ended = (*sentence, END) if len(sentence) < longest else sentence
        return float(sum(self.after(picture, ended[:i])[word] for i, word in enumerate(ended)))


def every_sentence(words: int, longest: int) -> list[tuple[int, ...]]:
    return [s for length in range(longest + 1) for s in product(range(1, words), repeat=length)]


def runs(sentence: tuple[int, ...], n: int) -> list[tuple[int, ...]]:
    return [sentence[i : i + n] for i in range(len(sentence) - n + 1)]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_run_of_words_is_said_twice(n: int) -> None:
    found = beam_search(Language(3, 4, 5), 3, 500, END, 5, 0.0, no_repeat_ngram_size=n)
    language = Language(3, 4, 5)
    for picture, sentence in enumerate(found):
        allowed = [s for s in every_sentence(4, 5) if len(set(runs(s, n))) == len(runs(s, n))]
        best = max(allowed, key=lambda s, picture=picture: language.score(picture, s, 5))
        assert sentence.words == best
        assert sentence.log_probability == pytest.approx(language.score(picture, best, 5), abs=1e-5)


@pytest.mark.parametrize(("n", "words"), [(None, (2,) * 6), (1, (2, 1)), (2, (2, 2, 1, 2)), (3, (2, 2, 2, 1, 2, 2))])
def test_long_repetitions_are_cut_off(n: int | None, words: tuple[int, ...]) -> None:
    class Stammering(Language):
        def after(self, picture: int, sentence: tuple[int, ...]) -> Tensor:
            return torch.tensor([0.1, 0.2, 0.7]).log()

    (found,) = beam_search(Stammering(1, 3, 0), 1, 1, END, 6, 0.0, no_repeat_ngram_size=n)
    assert found.words == words


@pytest.mark.parametrize("penalty", [1.0, 1.5, 4.0])
def test_words_that_are_said_again_are_penalised(penalty: float) -> None:
    language = Language(2, 4, 9)

    def score(picture: int, sentence: tuple[int, ...]) -> float:
        ended = (*sentence, END) if len(sentence) < 4 else sentence
        said = [float(language.after(picture, ended[:i])[word]) for i, word in enumerate(ended)]
        return sum(value * (penalty if ended[i] in ended[:i] else 1) for i, value in enumerate(said))

    found = beam_search(Language(2, 4, 9), 2, 400, END, 4, 0.0, repetition_penalty=penalty)
    for picture, sentence in enumerate(found):
        best = max(every_sentence(4, 4), key=lambda s, picture=picture: score(picture, s))
        assert sentence.words == best
        assert sentence.log_probability == pytest.approx(score(picture, best), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_sentence(seed: int, penalty: float) -> None:
    language = Language(2, 4, seed)
    found = beam_search(Language(2, 4, seed), 2, 200, END, 3, penalty)
    for picture, sentence in enumerate(found):
        scores = {s: language.score(picture, s, 3) / (len(s) + 1) ** penalty for s in every_sentence(4, 3)}
        best = max(scores, key=scores.__getitem__)
        assert sentence.words == best
        assert sentence.log_probability == pytest.approx(language.score(picture, best, 3), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy(seed: int) -> None:
    language = Language(3, 5, seed)
    for picture, sentence in enumerate(beam_search(Language(3, 5, seed), 3, 1, END, 6, 0.0)):
        greedy: tuple[int, ...] = ()
        while len(greedy) < 6 and (word := int(language.after(picture, greedy).argmax())) != END:
            greedy = (*greedy, word)
        assert sentence.words == greedy


@pytest.mark.parametrize("beams", [1, 2, 3])
def test_a_batch_is_its_pictures_one_by_one(beams: int) -> None:
    together = beam_search(Language(4, 5, 7), 4, beams, END, 6, 1.0)
    for picture in range(4):
        alone = Language(1, 5, 7)
        alone.picture_of = [picture]
        assert beam_search(alone, 1, beams, END, 6, 1.0) == [together[picture]]


def test_finished_beams_are_not_fed_and_all_finished_stops() -> None:
    """Every sentence ends after one word: the second step feeds only live beams, and there is no third with words."""

    class Short(Language):
        def after(self, picture: int, sentence: tuple[int, ...]) -> Tensor:
            probabilities = [0.0, 0.6, 0.4] if not sentence else [1.0, 0.0, 0.0]
            return torch.tensor(probabilities).clamp(min=1e-9).log()

    language = Short(2, 3, 0)
    found = beam_search(language, 2, 2, END, 50, 0.0)
    assert [s.words for s in found] == [(1,), (1,)]
    assert found[0].log_probability == pytest.approx(float(torch.tensor(0.6).log()))
    assert language.rows_fed == [2, 4]


def test_a_finished_beam_keeps_its_score_and_can_win_late() -> None:
    """The empty sentence, likely at once, stays in the beam while others grow and fall behind."""

    class Falling(Language):
        def after(self, picture: int, sentence: tuple[int, ...]) -> Tensor:
            return torch.tensor([0.45, 0.55] if not sentence else [0.2, 0.8]).log()

    (sentence,) = beam_search(Falling(1, 2, 0), 1, 2, END, 20, 0.0)
    assert sentence.words == ()
    assert sentence.log_probability == pytest.approx(float(torch.tensor(0.45).log()))


def test_more_beams_than_words() -> None:
    (sentence,) = beam_search(Language(1, 2, 3), 1, 10, END, 4, 0.0)
    language = Language(1, 2, 3)
    assert language.score(0, sentence.words, 4) == max(language.score(0, s, 4) for s in every_sentence(2, 4))
