"""Deep prompts are keys and values that every token sees and that ask nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uniperceiver.config import ModelConfig, PromptConfig
from uniperceiver.model.prompts import add_prompts
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.unified_decoder import UnifiedDecoder

BOTH = TaskAttributes(input_image=True, input_text=True)


@pytest.fixture
def decoder(tiny_model_config: ModelConfig) -> UnifiedDecoder:
    return UnifiedDecoder(replace(tiny_model_config.decoder, prompts=PromptConfig(3, for_targets=True))).eval()


def image(width: int, length: int = 4) -> Segment:
    tokens = torch.randn(2, length, width, generator=torch.Generator().manual_seed(1))
    is_padding = torch.zeros(2, length, dtype=torch.bool)
    is_padding[1, -1] = True
    return Segment(tokens, is_padding, "image")


def caption(width: int, words: int = 3) -> Segment:
    """Words, then a slot for each."""
    tokens = torch.randn(2, words, width, generator=torch.Generator().manual_seed(2)).repeat(1, 2, 1)
    positions = torch.arange(words).repeat(2).expand(2, -1)
    is_slot = torch.arange(2 * words).expand(2, -1) >= words
    return Segment(tokens, torch.zeros_like(is_slot), "text", positions, is_slot, causal=True)


def test_prompts_change_the_outcome_but_not_its_shape(decoder: UnifiedDecoder) -> None:
    segment = image(decoder.width)
    before = decoder([segment], BOTH)
    assert decoder.prompts == 3
    with torch.no_grad():
        decoder.stack[0].prompts.inputs.normal_()
    after = decoder([segment], BOTH)
    assert after.segments[0].shape == before.segments[0].shape
    assert not torch.allclose(after.spe, before.spe)


def test_targets_have_prompts_of_their_own(decoder: UnifiedDecoder) -> None:
    segment = image(decoder.width)
    before = {side: decoder([segment], BOTH, side).spe for side in ("input", "target")}
    with torch.no_grad():
        decoder.stack[0].prompts.targets.normal_()
    assert torch.equal(decoder([segment], BOTH, "input").spe, before["input"])
    assert not torch.allclose(decoder([segment], BOTH, "target").spe, before["target"])


def test_a_prompt_equals_a_token_that_everyone_sees(tiny_model_config: ModelConfig) -> None:
    """In the first layer a prompt with the content of a token counts as that token twice would."""
    config = replace(tiny_model_config.decoder, layers=1, moe=None, type_codes=False)
    decoder = UnifiedDecoder(config).eval()
    segment = image(decoder.width)
    segment = replace(segment, tokens=segment.tokens[:1], is_padding=segment.is_padding[:1])
    twice = replace(
        segment,
        tokens=torch.cat([segment.tokens, segment.tokens[:, :1]], dim=1),
        is_padding=torch.cat([segment.is_padding, segment.is_padding[:, :1]], dim=1),
    )
    expected = decoder([twice], BOTH).spe
    add_prompts(decoder, PromptConfig(1))
    with torch.no_grad():
        decoder.stack[0].prompts.inputs.copy_(segment.tokens[0, :1])
    torch.testing.assert_close(decoder([segment], BOTH).spe, expected)


def test_decoding_word_by_word_equals_the_training_layout(decoder: UnifiedDecoder) -> None:
    picture, text = image(decoder.width), caption(decoder.width)
    words = text.tokens.shape[1] // 2
    expected = decoder([picture, text], BOTH).segments[1][:, words:]
    cache = decoder.prefill([picture], BOTH)
    assert cache.length == 3 + 1 + picture.tokens.shape[1]
    for step in range(words):
        places = [step - 1, words + step] if step else [words]
        fed = text.rows(torch.arange(2))
        fed = replace(
            fed,
            tokens=text.tokens[:, places],
            is_padding=text.is_padding[:, places],
            positions=text.positions[:, places],
            is_slot=text.is_slot[:, places],
        )
        out, cache = decoder.step(fed, BOTH, cache)
        torch.testing.assert_close(out[:, -1], expected[:, step], rtol=1e-4, atol=1e-5)
