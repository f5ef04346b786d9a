"""Beam search over words, apart from any network (spec/uni_perceiver_v1_moe.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class NextWord(Protocol):
    """What predicts the next word of sentences that grow; it keeps what it knows about them between calls."""

    def __call__(self, words: Tensor | None, parents: Tensor) -> Tensor:
        """Log-probabilities (R, Y) of the next word.

        Row r continues row ``parents[r]`` of the previous call, whose next word turned out to be ``words[r]``. In the
        first call ``words`` is None and ``parents`` counts the pictures.
        """
        ...


@dataclass(frozen=True)
class Sentence:
    """What a search found for one picture."""

    words: tuple[int, ...]
    """Candidate indices, without the end."""
    log_probability: float
    """Sum over the words and, where the sentence ended by itself, the end."""


@torch.no_grad()
def beam_search(
    next_word: NextWord,
    pictures: int,
    beams: int,
    end: int,
    max_words: int,
    length_penalty: float,
    no_repeat_ngram_size: int | None = None,
    repetition_penalty: float = 1.0,
    device: torch.device | str = "cpu",
) -> list[Sentence]:
    """The best sentence of each of ``pictures`` pictures; ``beams=1`` is greedy search.

    A beam whose last word is ``end`` is finished: it keeps its score and its place, and is fed to the network no more.
    The search stops when all beams of all pictures are finished, or after ``max_words`` words, the end counted;
    stopping early changes nothing, since a picture whose beams are all finished would stay as it is. Then the score, a
    sum of log-probabilities, is divided by (words + 1) ** ``length_penalty``, and the best beam wins. No run of
    ``no_repeat_ngram_size`` words occurs twice in a sentence, and the log-probability of a word that it already has is
    multiplied by ``repetition_penalty`` (Keskar et al. 2019, "CTRL"), in the sentence's own too.
    """
    scores = torch.full((pictures, beams), float("-inf"), device=device)
    scores[:, 0] = 0.0  # at first there is one beam, the empty sentence
    is_finished = torch.zeros(pictures, beams, dtype=torch.bool, device=device)
    sentences = torch.empty(pictures, beams, 0, dtype=torch.int64, device=device)
    words: Tensor | None = None
    parents = torch.arange(pictures, device=device)
    for _ in range(max_words):
        is_live = ~is_finished & scores.isfinite()
        log_probabilities = next_word(words, parents)
        if repetition_penalty != 1:
            is_said = torch.zeros_like(log_probabilities, dtype=torch.bool).scatter_(1, sentences[is_live], True)
            log_probabilities = torch.where(is_said, log_probabilities * repetition_penalty, log_probabilities)
        if no_repeat_ngram_size is not None:
            is_repeat = _is_repeat(sentences[is_live], no_repeat_ngram_size, log_probabilities.shape[1])
            log_probabilities = log_probabilities.masked_fill(is_repeat, float("-inf"))
        row_of = torch.full((pictures * beams,), -1, device=device)
        row_of[is_live.flatten()] = torch.arange(len(log_probabilities), device=device)
        scores, chosen = _extend(scores, is_live, log_probabilities, end).topk(beams, dim=1)
        parent, word = chosen // log_probabilities.shape[1], chosen % log_probabilities.shape[1]
        sentences = torch.cat([sentences.gather(1, parent[..., None].expand_as(sentences)), word[..., None]], dim=2)
        is_finished = word == end
        is_live = ~is_finished & scores.isfinite()
        if not is_live.any():
            break
        absolute = parent + torch.arange(pictures, device=device)[:, None] * beams
        words, parents = word[is_live], row_of[absolute[is_live]]
    return _best(sentences, scores, end, length_penalty)


def _is_repeat(sentences: Tensor, n: int, words: int) -> Tensor:
    """Which next words would end a run of ``n`` words that sentences (R, L) already have: (R, words) bool."""
    is_repeat = torch.zeros(len(sentences), words, dtype=torch.bool, device=sentences.device)
    if sentences.shape[1] < n:
        return is_repeat
    runs = sentences.unfold(1, n, 1)
    begins_alike = (runs[..., :-1] == sentences[:, None, sentences.shape[1] - n + 1 :]).all(dim=-1)
    rows, places = begins_alike.nonzero(as_tuple=True)
    is_repeat[rows, runs[rows, places, -1]] = True
    return is_repeat


def _extend(scores: Tensor, is_live: Tensor, log_probabilities: Tensor, end: int) -> Tensor:
    """Scores of every beam followed by every word, (pictures, beams * Y); a finished beam goes on with the end only."""
    total = scores.new_full((*scores.shape, log_probabilities.shape[1]), float("-inf"))
    total[..., end] = scores
    total[is_live] = scores[is_live][:, None] + log_probabilities.to(scores.dtype)
    return total.flatten(1)


def _best(sentences: Tensor, scores: Tensor, end: int, length_penalty: float) -> list[Sentence]:
    is_word = sentences != end
    penalised = scores / (is_word.sum(dim=2) + 1) ** length_penalty
    best = penalised.argmax(dim=1)
    found = []
    for picture, beam in enumerate(best.tolist()):
        words = sentences[picture, beam][is_word[picture, beam]].tolist()
        found.append(Sentence(tuple(words), float(scores[picture, beam])))
    return found
