"""Texts read in groups of similar length: as read together, in their order, with less padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uniperceiver.batches import TextBatch
from uniperceiver.tasks.similar_length import read_by_length

TEXTS = [[5, 6, 7, 8, 9], [3], [4, 4, 4], [2, 2], [1, 2, 3, 4], [8]]


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], TEXTS[1:3], [[7, 7]] * 4])
@pytest.mark.parametrize("has_slots", [False, True])
def test_read_in_groups_as_together(texts: list[list[int]], has_slots: bool) -> None:
    text = TextBatch.with_slot_per_word(texts, 0, 99) if has_slots else TextBatch.from_ids(texts, 0)
    read_rows: list[int] = []
    widths: list[int] = []

    def read(rows: Tensor, part: TextBatch) -> Tensor:
        read_rows.extend(rows.tolist())
        widths.append(part.ids.shape[1])
        assert not part.is_padding.all(dim=0).any()
        given = torch.where(part.is_padding, 0, part.ids * 1000 + part.positions)[..., None]
        return given[:, part.ids.shape[1] // 2 :] if has_slots else given

    found = read_by_length(text, read)
    length = max(map(len, texts))
    expected = torch.where(text.is_padding, 0, text.ids * 1000 + text.positions)[:, -length:, None]
    assert torch.equal(found, expected)
    assert sorted(read_rows) == list(range(len(texts)))
    assert widths == sorted(widths)


def test_short_texts_are_not_padded_to_the_longest() -> None:
    text = TextBatch.from_ids(TEXTS, 0)
    sizes: list[tuple[int, int]] = []

    def read(rows: Tensor, part: TextBatch) -> Tensor:
        sizes.append((len(rows), part.ids.shape[1]))
        return part.ids[..., None].float()

    read_by_length(text, read)
    assert sizes == [(2, 1), (2, 3), (2, 5)]
