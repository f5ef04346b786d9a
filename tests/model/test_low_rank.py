"""Low-rank updates: nothing at first, then W + (α / r) B A, and the same when merged."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uniperceiver.config import LoraConfig, ModelConfig
from uniperceiver.model.low_rank import LowRankUpdate, add_low_rank_updates, merge_low_rank_updates
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.unified_decoder import UnifiedDecoder

LORA = LoraConfig(rank=2, alpha=6.0)
ATTRIBUTES = TaskAttributes(input_image=True, input_text=False)


@pytest.fixture
def decoder(tiny_model_config: ModelConfig) -> UnifiedDecoder:
    return UnifiedDecoder(tiny_model_config.decoder).eval()


def decoded(decoder: UnifiedDecoder) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 3, decoder.width, generator=generator)
    return decoder([Segment(tokens, torch.zeros(2, 3, dtype=torch.bool), "image")], ATTRIBUTES).spe


def fill(decoder: UnifiedDecoder) -> None:
    with torch.no_grad():
        for module in decoder.modules():
            if isinstance(module, LowRankUpdate):
                module.up.normal_(std=0.1)


def test_an_update_is_the_product_of_two_small_matrices() -> None:
    weight = torch.randn(5, 4)
    update = LowRankUpdate(weight, LORA)
    assert torch.equal(update(weight), weight)
    with torch.no_grad():
        update.up.normal_()
    torch.testing.assert_close(update(weight), weight + 3.0 * update.up @ update.down)


def test_nothing_changes_at_first_and_gates_get_no_update(decoder: UnifiedDecoder) -> None:
    before = decoded(decoder)
    add_low_rank_updates(decoder, LORA)
    torch.testing.assert_close(decoded(decoder), before)
    updated = {name for name, module in decoder.named_modules() if isinstance(module, LowRankUpdate)}
    assert any("experts" in name for name in updated)
    assert not any("gate" in name for name in updated)


def test_merging_and_folding_keep_what_is_computed(decoder: UnifiedDecoder) -> None:
    names = set(decoder.state_dict())
    add_low_rank_updates(decoder, LORA)
    with torch.no_grad():
        start = decoded(decoder)
        fill(decoder)
        expected = decoded(decoder)
        assert not torch.allclose(expected, start)
        folded = decoder.fold([ATTRIBUTES.bits("image", "input", False)])
        torch.testing.assert_close(decoded(folded), expected)
        merge_low_rank_updates(decoder)
        torch.testing.assert_close(decoded(decoder), expected)
    assert set(decoder.state_dict()) == names


def test_a_configured_decoder_loads_what_an_updated_one_saved(
    decoder: UnifiedDecoder, tiny_model_config: ModelConfig
) -> None:
    add_low_rank_updates(decoder, LORA)
    fill(decoder)
    fresh = UnifiedDecoder(replace(tiny_model_config.decoder, lora=LORA)).eval()
    fresh.load_state_dict(decoder.state_dict())
    torch.testing.assert_close(decoded(fresh), decoded(decoder))
