from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from uniperceiver.batches import TextBatch
from uniperceiver.config import TextEncoderConfig
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.text_encoder import TextEncoder

PADDING, SLOT = 0, 4
CONFIG = TextEncoderConfig(
    vocabulary_size=60,
    width=24,
    layers=3,
    heads=4,
    feedforward=48,
    positions=20,
    position_offset=2,
    token_types=2,
)


def texts(*lengths: int) -> list[list[int]]:
    """Random words of the given lengths."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(5, CONFIG.vocabulary_size, (n,), generator=generator).tolist() for n in lengths]


@pytest.fixture
def encoder() -> TextEncoder:
    """Random weights, biases and norms included, so that every parameter counts."""
    torch.manual_seed(0)
    encoder = TextEncoder(CONFIG, width=16)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    return encoder


def assert_close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_equation_4_gives_one_feature_per_token(encoder: TextEncoder) -> None:
    text = TextBatch.from_ids(texts(5, 3), PADDING, SLOT)
    segment = encoder(text)
    assert segment.tokens.shape == (2, 5, 16)
    assert segment.modality == "text"
    assert not segment.causal
    assert segment.positions is text.positions
    assert segment.is_slot is text.is_slot
    assert segment.is_padding is text.is_padding


def test_a_layer_of_one_head_by_hand() -> None:
    torch.manual_seed(0)
    config = replace(CONFIG, width=6, heads=1, feedforward=5, layers=1, layer_norm_eps=1e-3)
    encoder = TextEncoder(config, width=6).double()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    text = TextBatch.from_ids([[7, 9, 8]], PADDING)
    e, layer = encoder.embedding, encoder.layers[0]

    def norm(x: Tensor, module: nn.LayerNorm) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-3).sqrt() * module.weight + module.bias

    x = norm(e.words.weight[[7, 9, 8]] + e.positions.weight[2:5] + e.token_types.weight[0], e.norm)
    scores = (layer.query(x) @ layer.key(x).T / 6**0.5).softmax(-1)
    x = norm(x + layer.attention_output(scores @ layer.value(x)), layer.attention_norm)
    inner = layer.feedforward_input(x)
    gelu = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
    x = norm(x + layer.feedforward_output(gelu), layer.feedforward_norm)
    torch.testing.assert_close(encoder.hidden(text)[0], x)


def test_padding_and_batching_change_nothing(encoder: TextEncoder) -> None:
    ids = texts(7, 2, 5)
    batch = TextBatch.from_ids(ids, PADDING)
    junk = replace(
        batch,
        ids=batch.ids.masked_fill(batch.is_padding, 10**6),
        positions=batch.positions.masked_fill(batch.is_padding, 10**6),
    )
    together = encoder(junk).tokens
    for row, words in enumerate(ids):
        assert_close(together[row, : len(words)], encoder(TextBatch.from_ids([words], PADDING)).tokens[0])


def test_causal_padding_and_batching_change_nothing(encoder: TextEncoder) -> None:
    ids = texts(6, 3)
    together = encoder(TextBatch.with_slot_per_word(ids, PADDING, SLOT)).tokens
    alone = encoder(TextBatch.with_slot_per_word(ids[1:], PADDING, SLOT)).tokens[0]
    assert_close(together[1, :3], alone[:3])
    assert_close(together[1, 6:9], alone[3:])


def test_a_text_of_padding_only_stays_finite(encoder: TextEncoder) -> None:
    for text in (
        TextBatch.from_ids([[5, 6], []], PADDING),
        TextBatch.with_slot_per_word([[5, 6], []], PADDING, SLOT),
    ):
        tokens = encoder(text).tokens
        tokens.sum().backward()
        assert torch.isfinite(tokens).all()
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_bidirectional_tokens_see_each_other_and_causal_ones_only_earlier_words(encoder: TextEncoder) -> None:
    ids = texts(5)
    changed = [[*ids[0][:3], 7 if ids[0][3] != 7 else 8, ids[0][4]]]
    difference = (encoder(TextBatch.from_ids(ids, 0)).tokens - encoder(TextBatch.from_ids(changed, 0)).tokens).abs()
    assert (difference.amax(-1) > 1e-4).all()
    causal = [encoder(TextBatch.with_slot_per_word(row, PADDING, SLOT)).tokens for row in (ids, changed)]
    is_changed = (causal[0] - causal[1]).abs().amax(-1)[0] > 1e-6
    words, slots = is_changed[:5], is_changed[5:]
    assert words.tolist() == [False, False, False, True, True]
    assert slots.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("causal_layers", [None, 1, 0])
def test_steps_equal_the_training_layout(causal_layers: int | None) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(replace(CONFIG, causal_layers=causal_layers), width=16)
    ids = texts(6, 6, 6)
    layout = TextBatch.with_slot_per_word(ids, PADDING, SLOT)
    whole = encoder(layout).tokens
    cache = KeyValues()
    for place in range(6):
        columns = [6] if place == 0 else [place - 1, 6 + place]
        new = TextBatch(
            layout.ids[:, columns],
            layout.is_padding[:, columns],
            layout.positions[:, columns],
            layout.is_slot[:, columns],
            causal=True,
        )
        segment, after = encoder.step(new, cache)
        assert_close(segment.tokens, whole[:, columns])
        if causal_layers != 0:
            assert after.length == place
            assert cache.length == max(place - 1, 0)
        cache = after


def test_causal_layers_leave_other_texts_alone(encoder: TextEncoder) -> None:
    shallow = TextEncoder(replace(CONFIG, causal_layers=0), width=16)
    shallow.load_state_dict(encoder.state_dict())
    text = TextBatch.from_ids(texts(5, 3), PADDING, SLOT)
    assert torch.equal(shallow(text).tokens[0], encoder(text).tokens[0])
    causal = replace(text, causal=True)
    embedded = shallow.projection(shallow.embedding(causal.ids, causal.positions))
    assert_close(shallow(causal).tokens[0], embedded[0])


def test_without_layers_a_slot_carries_the_word_before_it() -> None:
    shallow = TextEncoder(replace(CONFIG, causal_layers=0), width=16)
    layout = TextBatch.with_slot_per_word(texts(4, 2), PADDING, SLOT)
    embedded = shallow.embedding(layout.ids, layout.positions)
    hidden = shallow.hidden(layout)
    assert_close(hidden[0, :5], embedded[0, :5])  # words, and the first slot, which has none before it
    assert_close(hidden[0, 5:8], embedded[0, 5:8] + embedded[0, 0:3])
    assert_close(hidden[1, 5], embedded[1, 5] + embedded[1, 0])


def test_words_are_kept_beside_what_the_layers_make_of_them(encoder: TextEncoder) -> None:
    keeping = TextEncoder(replace(CONFIG, keeps_words=True), width=16)
    keeping.load_state_dict(encoder.state_dict())
    text = TextBatch.from_ids(texts(5, 5), PADDING, SLOT)
    assert_close(keeping.hidden(text), encoder.hidden(text) + encoder.embedding(text.ids, text.positions))


def test_steps_of_padded_rows_equal_the_training_layout(encoder: TextEncoder) -> None:
    ids = texts(5, 2)
    layout = TextBatch.with_slot_per_word(ids, PADDING, SLOT)
    whole = encoder(layout).tokens
    prefix, last = (
        TextBatch(layout.ids[:, c], layout.is_padding[:, c], layout.positions[:, c], layout.is_slot[:, c], causal=True)
        for c in ([0, 1, 2], [3, 9])
    )
    first, cache = encoder.step(prefix, KeyValues())
    assert cache.is_padding is not None
    assert cache.is_padding.tolist() == [[False, False, False], [False, False, True]]
    second, _ = encoder.step(last, cache)
    assert_close(first.tokens[1, :2], whole[1, :2])
    assert_close(second.tokens[0], whole[0, [3, 9]])


def test_kept_rows_of_the_cache_go_on_alike(encoder: TextEncoder) -> None:
    ids = texts(3, 3)
    rows = torch.tensor([1, 1, 0])
    words = replace(TextBatch.from_ids(ids, PADDING), causal=True)
    slot = TextBatch(
        torch.full((2, 1), SLOT), torch.zeros(2, 1).bool(), torch.full((2, 1), 3), torch.ones(2, 1).bool(), causal=True
    )
    _, cache = encoder.step(words, KeyValues())
    expected, _ = encoder.step(slot, cache)
    chosen, _ = encoder.step(slot.rows(torch.tensor([0, 0, 0])), cache.kept(rows))
    assert_close(chosen.tokens, expected.tokens[rows])


def test_step_refuses_a_bidirectional_text(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="causal"):
        encoder.step(TextBatch.from_ids(texts(2), PADDING), KeyValues())


def test_too_long_texts_name_both_lengths(encoder: TextEncoder) -> None:
    encoder(TextBatch.from_ids(texts(20), PADDING))
    with pytest.raises(ValueError, match="text of 21 tokens is too long: this model takes 20"):
        encoder(TextBatch.from_ids(texts(21), PADDING))
    encoder(TextBatch.with_slot_per_word(texts(20), PADDING, SLOT))  # forty tokens at twenty positions


def test_foreign_ids_and_missing_tokens_are_clear_errors(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="token id 60 is not in the vocabulary of 60"):
        encoder(TextBatch.from_ids([[60]], PADDING))
    with pytest.raises(ValueError, match="without any token"):
        encoder(TextBatch.from_ids([[], []], PADDING))
    with pytest.raises(ValueError, match=r"text\.width 24 is not divisible by text\.heads 5"):
        TextEncoder(replace(CONFIG, heads=5), width=16)


def test_frozen_weights_get_no_gradient_but_the_projection_does() -> None:
    text = TextBatch.from_ids(texts(4), PADDING)
    encoder = TextEncoder(replace(CONFIG, frozen=True), width=16)
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == {
        "projection.weight",
        "projection.bias",
    }
    assert not encoder.hidden(text).requires_grad
    encoder(text).tokens.sum().backward()
    assert encoder.projection.weight.grad.abs().sum() > 0


def test_every_used_weight_gets_a_gradient(encoder: TextEncoder) -> None:
    encoder(TextBatch.from_ids(texts(4), PADDING)).tokens.square().sum().backward()
    # a key's bias shifts all scores of a query alike, which softmax undoes
    assert all(p.grad.abs().sum() > 0 for name, p in encoder.named_parameters() if not name.endswith("key.bias"))


def test_segment_of_kept_features_equals_forward(encoder: TextEncoder) -> None:
    text = TextBatch.from_ids(texts(4, 2), PADDING)
    assert_close(encoder.segment(text, encoder.hidden(text)).tokens, encoder(text).tokens)


def test_equal_widths_need_no_projection() -> None:
    encoder = TextEncoder(CONFIG, width=CONFIG.width)
    text = TextBatch.from_ids(texts(3), PADDING)
    assert torch.equal(encoder(text).tokens, encoder.hidden(text))


def test_dtype_follows_the_weights(encoder: TextEncoder) -> None:
    text = TextBatch.with_slot_per_word(texts(4, 2), PADDING, SLOT)
    half = copy.deepcopy(encoder).to(torch.bfloat16)
    assert half(text).tokens.dtype == torch.bfloat16
    assert encoder.double()(text).tokens.dtype == torch.float64
