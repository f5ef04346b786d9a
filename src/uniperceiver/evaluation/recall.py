"""Recall at k of image-text retrieval, both ways (Karpathy's protocol, all images or in folds)."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np

KS = (1, 5, 10)
KARPATHY_TEST = 5000
"""Images of Karpathy's test split of COCO, which is reported whole (5K) and in five folds (1K)."""
_CHUNK = 1024


def retrieval_recall(
    images: np.ndarray, texts: np.ndarray, image_of_text: np.ndarray, ks: tuple[int, ...] = KS
) -> dict[str, float]:
    """``image_to_text_r{k}`` and ``text_to_image_r{k}`` in [0, 1].

    An image is right when *any* of its captions is among the ``k`` most similar of all captions; every caption is one
    query for its image. Equally similar candidates count as in random order, on average: a model with one constant
    embedding reaches exactly `chance_recall`.

    Args:
        images: (n, D) unit vectors.
        texts: (m, D) unit vectors, of all captions of all images.
        image_of_text: (m,) int, the row of the image each caption belongs to.

    Raises:
        ValueError: shapes that do not fit, or an image without a caption.
    """
    _check(images, texts, image_of_text)
    every_image = np.arange(len(images))
    found = [
        _found(images[start:stop] @ texts.T, image_of_text == every_image[start:stop, None], ks)
        for start, stop in _chunks(len(images))
    ]
    recalls = {f"image_to_text_r{k}": value for k, value in zip(ks, _mean(found), strict=True)}
    found = [
        _found(texts[start:stop] @ images.T, image_of_text[start:stop, None] == every_image, ks)
        for start, stop in _chunks(len(texts))
    ]
    return recalls | {f"text_to_image_r{k}": value for k, value in zip(ks, _mean(found), strict=True)}


def fold_recall(
    images: np.ndarray, texts: np.ndarray, image_of_text: np.ndarray, fold: int = 1000, ks: tuple[int, ...] = KS
) -> dict[str, float]:
    """`retrieval_recall` within folds of ``fold`` consecutive images, averaged over the folds.

    With 5,000 images and folds of 1,000 this is what papers call COCO 1K, beside 5K, all images at once.

    Raises:
        ValueError: as `retrieval_recall`, or the number of images is no multiple of ``fold``.
    """
    _check(images, texts, image_of_text)
    if len(images) % fold:
        raise ValueError(f"{len(images)} images cannot be parted into folds of {fold}")
    recalls = [
        retrieval_recall(images[start : start + fold], texts[inside], image_of_text[inside] - start, ks)
        for start, inside in _folds(image_of_text, fold)
    ]
    return {name: float(np.mean([part[name] for part in recalls])) for name in recalls[0]}


def chance_recall(image_of_text: np.ndarray, ks: tuple[int, ...] = KS) -> dict[str, float]:
    """What random rankings reach on average, under the same names as `retrieval_recall`.

    An image with c of the m captions misses all of them among k with probability C(m-c, k) / C(m, k).
    """
    captions = np.bincount(image_of_text)
    m, n = len(image_of_text), len(captions)
    recalls = {
        f"image_to_text_r{k}": 1 - sum(comb(m - int(c), k) for c in captions) / (n * comb(m, k)) if k <= m else 1.0
        for k in ks
    }
    return recalls | {f"text_to_image_r{k}": min(1.0, k / n) for k in ks}


def fold_chance(image_of_text: np.ndarray, fold: int = 1000, ks: tuple[int, ...] = KS) -> dict[str, float]:
    """What random rankings reach on average, under the same names as `fold_recall`."""
    chances = [chance_recall(image_of_text[inside] - start, ks) for start, inside in _folds(image_of_text, fold)]
    return {name: float(np.mean([part[name] for part in chances])) for name in chances[0]}


def _folds(image_of_text: np.ndarray, fold: int) -> Iterator[tuple[int, np.ndarray]]:
    """The first image of each fold, and which texts (m,) belong to its images."""
    for start in range(0, int(image_of_text.max()) + 1, fold):
        yield start, (image_of_text >= start) & (image_of_text < start + fold)


def _found(similarity: np.ndarray, is_right: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Probability that a right candidate is among the first k: (queries, k's) from two (queries, candidates).

    Of o right and t wrong candidates that are the most similar right ones or tie with them, s places of the first k are
    left to fill: all go to wrong ones with probability C(t, s) / C(t + o, s).
    """
    best = np.where(is_right, similarity, -np.inf).max(axis=1, keepdims=True)
    before = (similarity > best).sum(axis=1)
    right = ((similarity == best) & is_right).sum(axis=1)
    wrong = ((similarity == best) & ~is_right).sum(axis=1)
    missed = np.ones((len(similarity), max(ks) + 1))
    for place in range(max(ks)):
        filled = np.maximum(place - before, 0)
        still = np.maximum(wrong - filled, 0) / np.maximum(wrong + right - filled, 1)
        missed[:, place + 1] = missed[:, place] * np.where(place < before, 1.0, still)
    return 1 - missed[:, list(ks)]


def _mean(found: list[np.ndarray]) -> list[float]:
    return np.concatenate(found).mean(axis=0).tolist()


def _chunks(total: int) -> list[tuple[int, int]]:
    return [(start, min(start + _CHUNK, total)) for start in range(0, total, _CHUNK)]


def _check(images: np.ndarray, texts: np.ndarray, image_of_text: np.ndarray) -> None:
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1] or len(texts) != len(image_of_text):
        raise ValueError(
            f"expected images (n, D), texts (m, D) and image_of_text (m,), got {images.shape}, {texts.shape} and "
            f"{image_of_text.shape}"
        )
    if not np.isfinite(images).all() or not np.isfinite(texts).all():
        raise ValueError("embeddings are not finite: the model has diverged")
    if set(image_of_text.tolist()) != set(range(len(images))):
        raise ValueError(f"every one of the {len(images)} images needs a caption, and every caption one of the images")
