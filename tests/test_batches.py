"""Batches: padding, normalisation, the layouts of texts."""

from __future__ import annotations

import pytest
import torch

from uniperceiver.batches import ImageBatch, ObjectTargets, TextBatch


def test_images_are_normalised_then_padded_with_zeros() -> None:
    small, large = torch.full((3, 10, 40), 255, dtype=torch.uint8), torch.zeros(3, 33, 5, dtype=torch.uint8)
    batch = ImageBatch.from_images([small, large], mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.5))
    assert batch.pixels.shape == (2, 3, 64, 64)
    assert batch.size == 2
    torch.testing.assert_close(batch.pixels[0, :, 0, 0], torch.tensor([1.0, 2.0, 1.0]))
    torch.testing.assert_close(batch.pixels[1, :, 32, 4], torch.tensor([-1.0, -2.0, -1.0]))
    assert not batch.pixels[0, :, 10:].any()
    assert (~batch.is_padding).flatten(1).sum(1).tolist() == [400, 165]


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        ImageBatch.from_images([], (0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="uint8 images"):
        ImageBatch.from_images([torch.rand(3, 4, 4)], (0, 0, 0), (1, 1, 1))


def test_texts_are_padded_and_slots_found() -> None:
    batch = TextBatch.from_ids([[5, 1, 6], [7]], padding_id=0, slot_id=1)
    assert batch.ids.tolist() == [[5, 1, 6], [7, 0, 0]]
    assert batch.is_padding.tolist() == [[False] * 3, [False, True, True]]
    assert batch.is_slot.tolist() == [[False, True, False], [False] * 3]
    assert batch.rows(torch.tensor([1])).ids.tolist() == [[7, 0, 0]]


def test_a_slot_stands_at_the_place_of_the_word_it_predicts() -> None:
    batch = TextBatch.with_slot_per_word([[5, 6], [7]], padding_id=0, slot_id=1)
    assert batch.ids.tolist() == [[5, 6, 1, 1], [7, 0, 1, 0]]
    assert batch.positions.tolist() == [[0, 1, 0, 1]] * 2
    assert batch.is_slot.tolist() == [[False, False, True, True], [False, False, True, False]]
    assert batch.causal


def test_the_word_before_stands_at_the_place_of_the_word() -> None:
    batch = TextBatch.with_word_before([[5, 6, 2], [7], []], padding_id=0, slot_id=1)
    assert batch.ids.tolist() == [[1, 5, 6], [1, 0, 0], [0, 0, 0]]
    assert batch.is_padding.tolist() == [[False] * 3, [False, True, True], [True] * 3]
    assert batch.positions.tolist() == [[0, 1, 2]] * 3
    assert not batch.is_slot.any()
    assert batch.causal


def test_targets_move_between_devices() -> None:
    boxes, masks = torch.zeros(1, 4), torch.zeros(1, 2, 2).bool()
    targets = ObjectTargets(boxes, masks, torch.zeros(1).long(), "7", torch.ones(1).bool()).to("meta")
    assert {t.device.type for t in (targets.boxes, targets.masks, targets.labels, targets.has_mask)} == {"meta"}
