"""BLEU, ROUGE-L and CIDEr-D of captions: the numbers of the COCO caption evaluation, without Java.

The formulas are those of pycocoevalcap 1.2, small constants included. Its class ``Cider``, whose number papers report
as "CIDEr", is CIDEr-D: counts are clipped and differing lengths are punished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from uniperceiver.evaluation.ptb_tokenizer import tokenize_lines

ORDERS = 4
SIGMA = 6.0
"""Width of the length penalty of CIDEr-D, in bigrams."""
BETA = 1.2
"""How much more recall counts than precision in ROUGE-L."""
COMPARED = 200
"""Captions among which the most central one is looked for."""
Ngrams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class CaptionScores:
    """Corpus scores; per-image values behind them where there are any."""

    bleu: tuple[float, float, float, float]
    """BLEU-1 to BLEU-4, in [0, 1]."""
    rouge_l: float
    """Mean over images, in [0, 1]."""
    cider_d: float
    """Mean over images, in [0, 10]; papers print it times 100 ("CIDEr 118.9" is 1.189)."""
    cider_d_per_image: np.ndarray
    """(n,) float64."""

    def named(self) -> dict[str, float]:
        """The corpus scores as reports call them."""
        bleu = {f"bleu{order}": value for order, value in enumerate(self.bleu, start=1)}
        return bleu | {"rouge_l": self.rouge_l, "cider_d": self.cider_d}


def caption_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Score one caption per image against that image's reference captions; all are tokenised here.

    The order counts a little: see `tokenize_lines`.

    Raises:
        ValueError: no captions, or not at least one reference for each.
    """
    if not captions or len(captions) != len(references) or not all(references):
        raise ValueError(
            f"expected at least one caption and at least one reference for each, got {len(captions)} captions and "
            f"{len(references)} lists of references, {sum(not row for row in references)} of them empty"
        )
    candidates = tokenize_lines(captions)
    flat = iter(tokenize_lines([reference for row in references for reference in row]))
    tokenised = [[next(flat) for _ in row] for row in references]
    per_image = cider_d(_split(candidates), [_split(row) for row in tokenised])
    return CaptionScores(
        bleu=bleu(_split(candidates), [_split(row) for row in tokenised]),
        rouge_l=float(np.mean([rouge_l(words, row) for words, row in zip(candidates, tokenised, strict=True)])),
        cider_d=float(per_image.mean()),
        cider_d_per_image=per_image,
    )


def _split(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """Split at no-break spaces inside tokens ("1 1/2" is one) too: the official BLEU and CIDEr do, ROUGE does not."""
    return [" ".join(words).split() for words in sentences]


def bleu(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> tuple[float, float, float, float]:
    """Corpus BLEU-1 to BLEU-4 of tokenised sentences (Papineni et al., 2002).

    The reference length of an image is that of its reference nearest in length, of two equally near ones the shorter.
    """
    matched, proposed = [0] * ORDERS, [0] * ORDERS
    length = reference_length = 0
    for words, row in zip(candidates, references, strict=True):
        length += len(words)
        reference_length += min((abs(len(reference) - len(words)), len(reference)) for reference in row)[1]
        allowed: Ngrams = Counter()
        for reference in row:
            allowed |= _ngrams(reference)
        for ngram, count in (_ngrams(words) & allowed).items():
            matched[len(ngram) - 1] += count
        for order in range(ORDERS):
            proposed[order] += max(0, len(words) - order)
    ratio = (length + 1e-15) / (reference_length + 1e-9)
    brevity = exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for order in range(ORDERS):
        product *= (matched[order] + 1e-15) / (proposed[order] + 1e-9)
        scores.append(product ** (1 / (order + 1)) * brevity)
    return scores[0], scores[1], scores[2], scores[3]


def rouge_l(words: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """ROUGE-L of one tokenised caption (Lin, 2004): F of the best precision and the best recall over its references."""
    # An empty sentence counts as one empty word, as splitting "" at spaces gives: two empty sentences agree.
    words = words or [""]
    rows = [reference or [""] for reference in references]
    common = [_longest_common_subsequence(words, reference) for reference in rows]
    precision = max(common) / len(words)
    recall = max(length / len(reference) for length, reference in zip(common, rows, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def cider_d(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> np.ndarray:
    """CIDEr-D of every image, (n,) float64 in [0, 10] (Vedantam et al., 2015, Eq. 3 with clipping and length penalty).

    Document frequencies come from the given references, an image being a document: the score of an image depends on
    the other images, and with a single image every score is zero.
    """
    counts = [[_ngrams(reference) for reference in row] for row in references]
    documents = Counter(ngram for row in counts for ngram in set().union(*row))
    log_images = log(len(candidates))
    scores = []
    for words, row in zip(candidates, counts, strict=True):
        candidate = _weigh(_ngrams(words), documents, log_images)
        total = sum(_cider_similarity(candidate, _weigh(reference, documents, log_images)) for reference in row)
        scores.append(10 * total / len(row))
    return np.array(scores, dtype=np.float64)


@dataclass(frozen=True)
class _Weighted:
    """tf-idf weights of a sentence."""

    by_order: list[dict[tuple[str, ...], float]]
    norms: list[float]
    bigrams: int
    """What the length penalty compares: pycocoevalcap measures length in bigrams."""


def _weigh(counts: Ngrams, documents: Ngrams, log_images: float) -> _Weighted:
    by_order: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
    for ngram, count in counts.items():
        by_order[len(ngram) - 1][ngram] = count * (log_images - log(max(1, documents[ngram])))
    norms = [sqrt(sum(weight**2 for weight in weights.values())) for weights in by_order]
    return _Weighted(by_order, norms, sum(count for ngram, count in counts.items() if len(ngram) == 2))


def _cider_similarity(candidate: _Weighted, reference: _Weighted) -> float:
    """Mean over the orders of the clipped cosine, times the Gaussian of the difference in length."""
    total = 0.0
    for order in range(ORDERS):
        theirs = reference.by_order[order]
        product = sum(
            min(weight, theirs[ngram]) * theirs[ngram]
            for ngram, weight in candidate.by_order[order].items()
            if ngram in theirs
        )
        norm = candidate.norms[order] * reference.norms[order]
        total += product / norm if norm else product
    return total / ORDERS * exp(-((candidate.bigrams - reference.bigrams) ** 2) / (2 * SIGMA**2))


def _ngrams(words: Sequence[str]) -> Ngrams:
    """Counts of all 1- to 4-grams."""
    return Counter(
        tuple(words[start : start + order]) for order in range(1, ORDERS + 1) for start in range(len(words) - order + 1)
    )


def central_caption(captions: Sequence[str]) -> str:
    """The one caption to say of every picture: the most frequent, or if all differ, the one that most agree with.

    Agreement is CIDEr-D against the others of `COMPARED` captions, evenly spaced over all.

    Raises:
        ValueError: no captions.
    """
    if not captions:
        raise ValueError("no captions to choose a trivial caption from")
    caption, times = Counter(captions).most_common(1)[0]
    if times > 1 or len(captions) == 1:
        return caption
    spaced = [captions[i] for i in np.linspace(0, len(captions) - 1, min(COMPARED, len(captions))).astype(int)]
    counts = [_ngrams(words) for words in _split(tokenize_lines(spaced))]
    documents = Counter(ngram for row in counts for ngram in row)
    weighted = [_weigh(row, documents, log(len(counts))) for row in counts]
    agreement = [sum(_cider_similarity(one, other) for other in weighted if other is not one) for one in weighted]
    return spaced[int(np.argmax(agreement))]


def _longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    lengths = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for index, other in enumerate(second, start=1):
            diagonal = before
            before = lengths[index]
            lengths[index] = diagonal + 1 if word == other else max(before, lengths[index - 1])
    return lengths[-1]
