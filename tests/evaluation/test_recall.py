from __future__ import annotations

import numpy as np
import pytest

from uniperceiver.evaluation.recall import chance_recall, fold_chance, fold_recall, retrieval_recall

IMAGE_OF_TEXT = np.array([0, 0, 1, 1, 2, 2])
"""Three images, two captions each."""


def at_angles(*degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_any_caption_of_an_image_counts_and_every_caption_is_a_query() -> None:
    images = at_angles(0, 40, 90)
    texts = at_angles(1, 41, 38, 80, 60, 91)  # image 0's second caption lies beside image 1
    recall = retrieval_recall(images, texts, IMAGE_OF_TEXT, (1, 2, 3))
    # Captions nearest to an image, by angle: 0 -> 1 (own); 40 -> 41 (image 0's), then 38 (own); 90 -> 91 (own).
    assert recall["image_to_text_r1"] == pytest.approx(2 / 3)
    assert recall["image_to_text_r2"] == 1
    # Images nearest to a caption: 1 -> 0; 41 -> 40, then 0; 38 -> 40; 80 -> 90, then 40; 60 -> 40, then 90; 91 -> 90.
    assert recall["text_to_image_r1"] == pytest.approx(3 / 6)
    assert recall["text_to_image_r2"] == 1


def test_a_constant_embedding_reaches_exactly_chance() -> None:
    image_of_text = np.array([0, 0, 0, 1, 2, 2, 3])
    recall = retrieval_recall(np.ones((4, 3)), np.ones((7, 3)), image_of_text, (1, 3, 10))
    assert recall == pytest.approx(chance_recall(image_of_text, (1, 3, 10)))


def test_a_tie_with_a_wrong_candidate_counts_half() -> None:
    axes = np.eye(2)
    recall = retrieval_recall(axes, axes[[0, 0]], np.array([0, 1]), (1, 2))
    assert recall["image_to_text_r1"] == 0.5  # each image ties between the two equal captions
    assert recall["text_to_image_r1"] == 0.5  # the first caption finds its image, the second the other's
    assert recall["image_to_text_r2"] == 1


def test_order_of_captions_and_chunks_do_not_matter() -> None:
    random = np.random.default_rng(0)
    image_of_text = np.repeat(np.arange(1100), 2)
    images, texts = random.normal(size=(1100, 8)), random.normal(size=(2200, 8))
    texts[::2] += 2 * images
    order = random.permutation(2200)
    recall = retrieval_recall(images, texts, image_of_text)
    assert recall == retrieval_recall(images, texts[order], image_of_text[order])
    similarity = texts @ images.T
    right = similarity[np.arange(2200), image_of_text]
    assert recall["text_to_image_r5"] == pytest.approx(np.mean((similarity > right[:, None]).sum(axis=1) < 5))


def test_chance_is_what_random_embeddings_reach() -> None:
    chance = chance_recall(IMAGE_OF_TEXT, (1, 2, 10))
    assert chance["image_to_text_r1"] == pytest.approx(1 / 3)
    assert chance["image_to_text_r2"] == pytest.approx(1 - (4 * 3) / (6 * 5))
    assert chance["text_to_image_r2"] == pytest.approx(2 / 3)
    assert chance["image_to_text_r10"] == chance["text_to_image_r10"] == 1
    random = np.random.default_rng(0)
    draws = [
        retrieval_recall(random.normal(size=(3, 4)), random.normal(size=(6, 4)), IMAGE_OF_TEXT, (1,))
        for _ in range(1000)
    ]
    assert np.mean([draw["image_to_text_r1"] for draw in draws]) == pytest.approx(1 / 3, abs=0.05)


def test_wrong_input_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a caption"):
        retrieval_recall(np.ones((2, 3)), np.ones((2, 3)), np.array([0, 0]))
    with pytest.raises(ValueError, match="expected images"):
        retrieval_recall(np.ones((2, 3)), np.ones((2, 4)), np.array([0, 1]))
    with pytest.raises(ValueError, match="not finite"):
        retrieval_recall(np.full((1, 3), np.nan), np.ones((1, 3)), np.array([0]))


def test_folds_rank_among_themselves_and_are_averaged() -> None:
    random = np.random.default_rng(0)
    image_of_text = np.repeat(np.arange(30), 5)[random.permutation(150)]
    images, texts = random.normal(size=(30, 8)), random.normal(size=(150, 8))
    texts += images[image_of_text]
    by_hand = []
    for start in (0, 10, 20):
        inside = [i for i in range(150) if start <= image_of_text[i] < start + 10]
        by_hand.append(retrieval_recall(images[start : start + 10], texts[inside], image_of_text[inside] - start))
    folds = fold_recall(images, texts, image_of_text, fold=10)
    assert folds == pytest.approx({name: np.mean([part[name] for part in by_hand]) for name in by_hand[0]})
    assert folds["text_to_image_r1"] > retrieval_recall(images, texts, image_of_text)["text_to_image_r1"]
    assert fold_recall(images, texts, image_of_text, fold=30) == retrieval_recall(images, texts, image_of_text)
    with pytest.raises(ValueError, match="folds of 7"):
        fold_recall(images, texts, image_of_text, fold=7)


def test_a_constant_embedding_reaches_exactly_chance_in_folds() -> None:
    image_of_text = np.array([0, 0, 0, 1, 2, 2, 3])
    recall = fold_recall(np.ones((4, 3)), np.ones((7, 3)), image_of_text, 2, (1, 3))
    assert recall == pytest.approx(fold_chance(image_of_text, 2, (1, 3)))
