"""Attention pattern, codes, decoding with a cache, folding and gradients of g."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uniperceiver.config import MoEConfig, UnifiedDecoderConfig
from uniperceiver.model.conditional_moe import ConditionalPair
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.unified_decoder import UnifiedDecoder

D = 16
BOTH = TaskAttributes(input_image=True, input_text=True)
IMAGE_BITS, CAUSAL_BITS = BOTH.bits("image", "input", False), BOTH.bits("text", "input", True)


def make_decoder(**settings: object) -> UnifiedDecoder:
    torch.manual_seed(0)
    defaults = {"width": D, "layers": 2, "heads": 4, "feedforward": 24, "text_positions": 12}
    decoder = UnifiedDecoder(UnifiedDecoderConfig(**{**defaults, **settings})).eval()
    with torch.no_grad():  # away from the initial zeros and from codes too small to matter
        for name, parameter in decoder.named_parameters():
            if name.endswith("bias") or parameter.ndim == 1 or "positions" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return decoder


@pytest.fixture(params=["dense", "moe", "moe in attention"])
def decoder(request: pytest.FixtureRequest) -> UnifiedDecoder:
    moe = {"dense": None, "moe": MoEConfig(), "moe in attention": MoEConfig(layers="even", in_attention=True)}
    return make_decoder(moe=moe[request.param])


def image(rows: int = 3, tokens: int = 4) -> Segment:
    return Segment(torch.randn(rows, tokens, D), torch.zeros(rows, tokens, dtype=torch.bool), "image")


def text(rows: int = 3, tokens: int = 5) -> Segment:
    positions = torch.arange(tokens).expand(rows, tokens)
    return Segment(torch.randn(rows, tokens, D), torch.zeros(rows, tokens, dtype=torch.bool), "text", positions)


def caption(lengths: tuple[int, ...] = (4, 2, 3)) -> Segment:
    """The training layout: words, then a slot per word at its position."""
    words = max(lengths)
    is_padding = torch.arange(words) >= torch.tensor(lengths)[:, None]
    return Segment(
        tokens=torch.randn(len(lengths), 2 * words, D),
        is_padding=is_padding.repeat(1, 2),
        modality="text",
        positions=torch.arange(words).repeat(2).expand(len(lengths), -1),
        is_slot=(torch.arange(2 * words) >= words).expand(len(lengths), -1),
        causal=True,
    )


def columns(segment: Segment, index: list[int]) -> Segment:
    assert segment.positions is not None
    assert segment.is_slot is not None
    return replace(
        segment,
        tokens=segment.tokens[:, index],
        is_padding=segment.is_padding[:, index],
        positions=segment.positions[:, index],
        is_slot=segment.is_slot[:, index],
    )


def changed(segment: Segment, where: Tensor) -> Segment:
    """Other tokens at the places given by a mask (B, L)."""
    return replace(segment, tokens=torch.where(where[..., None], 5 + segment.tokens.flip(-1), segment.tokens))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("segments", [[image()], [text()], [image(), text()], [image(1)], [image(), caption()]])
def test_shapes(decoder: UnifiedDecoder, segments: list[Segment]) -> None:
    out = decoder(segments, BOTH)
    assert out.spe.shape == (segments[0].tokens.shape[0], D)
    assert [part.shape for part in out.segments] == [segment.tokens.shape for segment in segments]


@pytest.mark.parametrize("segments", [[image()], [image(), text()], [image(), caption()]])
def test_the_summary_is_the_read_out_at_spe(decoder: UnifiedDecoder, segments: list[Segment]) -> None:
    """Also in training, with the same draws, and with the same gradients."""
    is_padding = segments[0].is_padding.clone()
    is_padding[0, -1] = True
    segments = [replace(segments[0], is_padding=is_padding), *segments[1:]]
    segments = [replace(segment, tokens=segment.tokens.double()) for segment in segments]
    for layer in decoder.double().train().stack:
        layer.drop_path = 0.5
    gradients = []
    for read in (lambda: decoder(segments, BOTH).spe, lambda: decoder.summary(segments, BOTH)):
        torch.manual_seed(1)
        out = read()
        gradients.append([out, *torch.autograd.grad(out.square().sum(), decoder.parameters(), allow_unused=True)])
    for of_all, of_spe in zip(*gradients, strict=True):
        if of_spe is None:  # what only other tokens use in the last layer is not asked for
            assert of_all is None or not of_all.any()
        else:
            close(of_spe, of_all)


def test_empty_segments_change_nothing_and_come_back_empty(decoder: UnifiedDecoder) -> None:
    full, empty = text(), image(3, 0)
    out = decoder([full, empty], BOTH)
    assert out.segments[1].shape == (3, 0, D)
    close(out.spe, decoder([full], BOTH).spe)


def test_spe_belongs_to_the_stream_of_the_first_segment() -> None:
    decoder = make_decoder()
    spe_first = decoder([image(3, 0), text()], BOTH).spe
    assert not torch.allclose(spe_first, decoder([text()], BOTH).spe)


def test_padding_changes_nothing(decoder: UnifiedDecoder) -> None:
    pictures, captions = image(), caption()
    pictures = replace(pictures, is_padding=torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]).bool())
    assert captions.positions is not None
    base = decoder([pictures, captions], BOTH)
    other = replace(
        changed(captions, captions.is_padding), positions=captions.positions.masked_fill(captions.is_padding, 9999)
    )
    out = decoder([changed(pictures, pictures.is_padding), other], BOTH)
    close(out.spe, base.spe)
    for segment, new, old in zip((pictures, captions), out.segments, base.segments, strict=True):
        close(new[~segment.is_padding], old[~segment.is_padding])


def test_batched_equals_single(decoder: UnifiedDecoder) -> None:
    pictures, captions = image(), caption()
    base = decoder([pictures, captions], BOTH)
    for row, length in enumerate((4, 2, 3)):
        single = columns(captions.rows(torch.tensor([row])), [*range(length), *range(4, 4 + length)])
        out = decoder([pictures.rows(torch.tensor([row])), single], BOTH)
        close(out.spe[0], base.spe[row])
        close(out.segments[1][0], base.segments[1][row][~captions.is_padding[row]])


def test_an_image_sees_no_causal_text(decoder: UnifiedDecoder) -> None:
    pictures, captions = image(), caption()
    alone = decoder([pictures], BOTH)
    together = decoder([pictures, captions], BOTH)
    close(together.spe, alone.spe)
    close(together.segments[0], alone.segments[0])


def test_a_word_sees_only_earlier_words_and_a_slot_only_them_and_itself(decoder: UnifiedDecoder) -> None:
    pictures, captions = image(1), caption((4,))
    base = decoder([pictures, captions], BOTH).segments[1][0]
    for place in range(8):
        where = torch.zeros(1, 8, dtype=torch.bool)
        where[0, place] = True
        out = decoder([pictures, changed(captions, where)], BOTH).segments[1][0]
        moved = [i for i in range(8) if not torch.allclose(out[i], base[i], atol=1e-5)]
        later = [] if place >= 4 else [*range(place + 1, 4), *range(4 + place + 1, 8)]
        assert moved == sorted([place, *later])


def test_causal_text_sees_the_whole_image_and_question() -> None:
    decoder, pictures, question, captions = make_decoder(), image(1), text(1), caption((3,))
    base = decoder([pictures, question, captions], BOTH).segments[2]
    for where in range(4):
        mask = torch.arange(4)[None] == where
        assert not torch.allclose(decoder([changed(pictures, mask), question, captions], BOTH).segments[2], base)
    mask = torch.arange(5)[None] == 4
    assert not torch.allclose(decoder([pictures, changed(question, mask), captions], BOTH).segments[2], base)


def test_bidirectional_segments_see_each_other() -> None:
    decoder, pictures, question = make_decoder(), image(), text()
    base = decoder([pictures, question], BOTH)
    out = decoder([pictures, changed(question, torch.arange(5).expand(3, 5) == 2)], BOTH)
    assert not torch.allclose(out.segments[0], base.segments[0])
    assert not torch.allclose(out.spe, base.spe)


def test_training_layout_equals_step_by_step_decoding(decoder: UnifiedDecoder) -> None:
    pictures, captions = image(), caption()
    pictures = replace(pictures, is_padding=torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]).bool())
    expected = decoder([pictures, captions], BOTH).segments[1]
    cache = decoder.prefill([pictures], BOTH)
    for t in range(4):
        out, cache = decoder.step(columns(captions, [4] if t == 0 else [t - 1, 4 + t]), BOTH, cache)
        is_row = ~captions.is_padding[:, t]
        close(out[is_row, -1], expected[is_row, 4 + t])
        if t > 0:
            close(out[is_row, 0], expected[is_row, t - 1])
        assert cache.length == 1 + 4 + t
    assert cache.is_padding is not None
    assert cache.is_padding.shape == (3, cache.length)


def test_texts_about_one_picture_share_its_cache(decoder: UnifiedDecoder) -> None:
    """Outputs and gradients are those of every text beside a picture of its own."""
    pictures, captions, rows = image(2), caption(), torch.tensor([0, 0, 1])
    pictures = replace(
        pictures, tokens=pictures.tokens.requires_grad_(), is_padding=torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1]]).bool()
    )
    is_text, upstream = ~captions.is_padding, torch.randn(3, 8, D)
    results = []
    for out in (
        decoder([pictures.rows(rows), captions], BOTH).segments[1],
        decoder.follow(captions, BOTH, decoder.prefill([pictures], BOTH).kept(rows)),
    ):
        parameters = [p for p in decoder.parameters() if p.requires_grad]
        inputs = [pictures.tokens, *parameters]
        loss = (out * upstream)[is_text].sum()
        results.append((out[is_text], *torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)))
    for shared, own in zip(*results, strict=True):
        torch.testing.assert_close(shared, own, rtol=1e-4, atol=1e-5)


def test_steps_may_drop_and_repeat_rows(decoder: UnifiedDecoder) -> None:
    pictures, captions = image(), caption((4, 4, 4))
    expected = decoder([pictures, captions], BOTH).segments[1]
    cache = decoder.prefill([pictures], BOTH)
    _, cache = decoder.step(columns(captions, [0, 1]), BOTH, cache)
    rows = torch.tensor([2, 0, 2])
    out, _ = decoder.step(columns(captions.rows(rows), [2, 7]), BOTH, cache.kept(rows))
    close(out, expected[rows][:, [2, 7]])


def test_cached_equals_uncached_merging_and_follows_changes() -> None:
    decoder, segments = make_decoder(), [image(), caption()]
    with_gradients = decoder(segments, BOTH).spe
    with torch.no_grad():
        close(decoder(segments, BOTH).spe, with_gradients)
        close(decoder(segments, BOTH).spe, with_gradients)
        for parameter in decoder.layers.parameters():
            parameter.mul_(1.5)
        changed_weights = decoder(segments, BOTH).spe
    assert not torch.allclose(changed_weights, with_gradients)
    close(changed_weights, decoder(segments, BOTH).spe)


@pytest.mark.parametrize("moe", [MoEConfig(), MoEConfig(layers="even", in_attention=True)])
def test_folded_equals_unfolded(moe: MoEConfig) -> None:
    decoder, segments = make_decoder(moe=moe), [image(), caption()]
    expected = decoder(segments, BOTH)
    folded = decoder.fold([IMAGE_BITS, CAUSAL_BITS])
    assert not [module for module in folded.modules() if isinstance(module, ConditionalPair)]
    assert [module for module in decoder.modules() if isinstance(module, ConditionalPair)]
    out = folded(segments, BOTH)
    torch.testing.assert_close(out.spe, expected.spe, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(out.segments[1], expected.segments[1], atol=1e-6, rtol=1e-6)
    with pytest.raises(KeyError, match="11010100"):
        folded([text()], BOTH)


def test_folded_decoder_can_be_saved_and_loaded() -> None:
    folded = make_decoder().fold([IMAGE_BITS])
    loaded = UnifiedDecoder(UnifiedDecoderConfig(width=D, layers=2, heads=4, feedforward=24, text_positions=12))
    loaded = loaded.eval().fold([IMAGE_BITS])
    loaded.load_state_dict(folded.state_dict())
    pictures = image()
    assert torch.equal(loaded([pictures], BOTH).spe, folded([pictures], BOTH).spe)


@pytest.mark.parametrize("moe", [None, MoEConfig(), MoEConfig(layers="even", in_attention=True)])
@pytest.mark.parametrize("streams", [[IMAGE_BITS], [IMAGE_BITS, CAUSAL_BITS]])
def test_deployed_parameters_count_the_folded_decoder(moe: MoEConfig | None, streams: list[tuple[int, ...]]) -> None:
    decoder = make_decoder(moe=moe)
    counted = sum(p.numel() for p in decoder.fold(streams).parameters())
    assert decoder.deployed_parameters(len(streams)) == counted


def test_deployed_parameters_of_the_paper_are_six_bert_layers() -> None:
    with torch.device("meta"):
        decoder = UnifiedDecoder(UnifiedDecoderConfig())
    bert_layer = 12 * 768**2 + 13 * 768
    assert decoder.deployed_parameters() == 6 * bert_layer + 768**2 + 3 * 768 + (512 + 3) * 768


def test_gradients_reach_everything_that_is_used() -> None:
    decoder = make_decoder(layer_scale=0.5, drop_path=0.0).train()
    out = decoder([image(), caption((4, 4, 4))], BOTH)
    (out.spe.square().sum() + sum(part.square().sum() for part in out.segments)).backward()
    missing = {name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert all(".experts." in name for name in missing)
    for layer in decoder.stack:
        used = [expert for expert in layer.feed_forward.first.experts if expert.weight.grad is not None]
        assert 2 <= len(used) <= 4


def test_noise_and_stochastic_depth_act_only_in_training() -> None:
    segments = [image()]
    for settings in ({"drop_path": 0.0}, {"drop_path": 0.5, "moe": None}):
        decoder = make_decoder(**settings)
        assert torch.equal(decoder(segments, BOTH).spe, decoder(segments, BOTH).spe)
        decoder.train()
        assert not torch.equal(decoder(segments, BOTH).spe, decoder(segments, BOTH).spe)
    decoder = make_decoder(drop_path=0.0, moe=MoEConfig(noise=0.0)).train()
    assert torch.equal(decoder(segments, BOTH).spe, decoder(segments, BOTH).spe)


def test_type_and_position_codes() -> None:
    decoder = make_decoder(moe=None)
    same = text()
    assert same.positions is not None
    base = decoder([same], BOTH).spe
    assert not torch.allclose(decoder([replace(same, positions=same.positions + 1)], BOTH).spe, base)
    as_image = replace(same, modality="image", positions=None)
    with torch.no_grad():
        assert decoder.text_positions is not None
        decoder.text_positions.weight.zero_()
    assert not torch.allclose(decoder([same], BOTH).spe, decoder([as_image], BOTH).spe)


def test_same_spe_given_or_own() -> None:
    own = make_decoder()
    given = make_decoder(own_spe=False)
    state = own.state_dict()
    spe = state.pop("spe")
    given.load_state_dict(state)
    pictures = image()
    assert torch.equal(own([pictures], BOTH).spe, given([pictures], BOTH, spe=spe).spe)
    with pytest.raises(ValueError, match="pass `spe`"):
        given([pictures], BOTH)
    with pytest.raises(ValueError, match="do not pass"):
        own([pictures], BOTH, spe=spe)


def test_position_out_of_range_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"positions 0 to 12 do not fit the table of 12.*decoder\.text_positions"):
        make_decoder()([text(2, 13)], BOTH)


def test_unfit_input_is_refused() -> None:
    decoder = make_decoder()
    with pytest.raises(ValueError, match="at least one segment"):
        decoder([], BOTH)
    with pytest.raises(ValueError, match=r"expected tokens \(B, L, 16\)"):
        decoder([replace(image(), tokens=torch.randn(3, 4, 8))], BOTH)
    with pytest.raises(ValueError, match="needs positions"):
        decoder([replace(text(), positions=None)], BOTH)
    with pytest.raises(ValueError, match="non-causal segments"):
        decoder.prefill([image(), caption()], BOTH)
    with pytest.raises(ValueError, match="causal text segment"):
        decoder.step(text(), BOTH, decoder.prefill([image()], BOTH))


def test_autocast_keeps_close_to_float32() -> None:
    decoder, segments = make_decoder(), [image(), caption()]
    expected = decoder(segments, BOTH).spe
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = decoder(segments, BOTH).spe
    torch.testing.assert_close(out.float(), expected, atol=0.1, rtol=0.1)


def test_double_precision_agrees() -> None:
    decoder, pictures = make_decoder(), image()
    expected = decoder([pictures], BOTH).spe
    double = decoder.double()([replace(pictures, tokens=pictures.tokens.double())], BOTH).spe
    torch.testing.assert_close(double.float(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("input_norm", "is_scale_free"), [("per_modality", True), ("shared", False), (None, False)])
def test_the_scale_of_an_encoder_does_not_matter_with_a_norm_per_modality(
    input_norm: str | None, is_scale_free: bool
) -> None:
    decoder, picture, words = make_decoder(input_norm=input_norm), image(), text()
    larger = replace(picture, tokens=100 * picture.tokens)
    smaller = replace(words, tokens=0.1 * words.tokens)
    expected, found = (decoder(segments, BOTH).spe for segments in ((picture, words), (larger, smaller)))
    assert torch.allclose(found, expected, atol=1e-2) == is_scale_free


@pytest.mark.parametrize(("input_norm", "std"), [(None, 0.02), ("per_modality", 0.3)])
def test_positions_are_seen_beside_normalised_tokens(input_norm: str | None, std: float) -> None:
    config = UnifiedDecoderConfig(layers=1, moe=None, input_norm=input_norm)
    positions = UnifiedDecoder(config).text_positions
    assert positions is not None
    assert float(positions.weight.detach().std()) == pytest.approx(std, rel=0.1)
