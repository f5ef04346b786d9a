"""The attention product, its cache and the causal pattern with slots."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from uniperceiver.batches import TextBatch
from uniperceiver.model.layers.attention import KeyValues, SelfAttention, attend, causal_is_blocked


def test_attention_is_softmax_of_scaled_products() -> None:
    query, key, value = (torch.randn(2, 3, length, 4) for length in (5, 6, 6))
    is_blocked = torch.rand(2, 1, 5, 6) < 0.4
    is_blocked[..., 0] = False
    scores = (query @ key.transpose(-1, -2) / 2).masked_fill(is_blocked, float("-inf"))
    torch.testing.assert_close(attend(query, key, value, is_blocked), scores.softmax(-1) @ value)


def test_a_query_that_sees_nothing_gives_zeros_and_no_nan_gradients() -> None:
    query = torch.randn(1, 1, 2, 4, requires_grad=True)
    is_blocked = torch.tensor([[True, True], [False, True]])
    out = attend(query, torch.randn(1, 1, 2, 4), torch.randn(1, 1, 2, 4), is_blocked)
    out.sum().backward()
    assert not out[0, 0, 0].any()
    assert query.grad is not None
    assert query.grad.isfinite().all()


@pytest.mark.parametrize("with_mask", [False, True])
def test_bfloat16_on_a_processor_is_the_same_product(with_mask: bool) -> None:
    tensors = [torch.randn(2, 3, 7, 16) for _ in range(3)]
    is_blocked = torch.rand(2, 1, 7, 7) < 0.4 if with_mask else None
    exact = attend(*tensors, is_blocked)
    rounded = attend(*(tensor.bfloat16() for tensor in tensors), is_blocked)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.03)


@pytest.mark.parametrize("with_mask", [False, True])
def test_self_attention_is_that_of_pytorch(with_mask: bool) -> None:
    """Mask DINO's decoder layers: positions in queries and keys, none in the values."""
    ours, theirs = SelfAttention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x, positions = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    is_blocked = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1) if with_mask else None
    expected, _ = theirs(x + positions, x + positions, x, attn_mask=is_blocked, need_weights=False)
    torch.testing.assert_close(ours(x + positions, x, is_blocked), expected)


def test_causal_pattern_of_words_then_slots() -> None:
    """Words w0 w1 then slots s0 s1: the table of spec section 4, row by row."""
    text = TextBatch.with_slot_per_word([[7, 8]], padding_id=0, slot_id=1)
    sees = ~causal_is_blocked(text.positions, text.is_slot)[0]
    expected = [
        [1, 0, 0, 0],  # w0: itself
        [1, 1, 0, 0],  # w1: w0 and itself
        [0, 0, 1, 0],  # s0: itself only; the word it predicts is hidden
        [1, 0, 0, 1],  # s1: w0 and itself, not s0
    ]
    assert sees.int().tolist() == expected


def test_kept_rows_may_repeat_and_drop() -> None:
    cache = KeyValues([torch.arange(6.0).view(3, 1, 2, 1)], [torch.zeros(3, 1, 2, 1)], torch.zeros(3, 2).bool())
    kept = cache.kept(torch.tensor([2, 2]))
    assert kept.keys[0].flatten().tolist() == [4, 5, 4, 5]
    assert kept.length == 2
    assert kept.is_padding is not None
    assert kept.is_padding.shape == (2, 2)
