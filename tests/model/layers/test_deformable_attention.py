"""Deformable attention against recorded values, gradients, and a sampling written out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.model.layers.deformable_attention import DeformableAttention, sample_levels

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = {
    "offsets": "sampling_offsets",
    "weights": "attention_weights",
    "value": "value_proj",
    "out": "output_proj",
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(GOLDEN / "maskdino_msdeform.safetensors")


@pytest.fixture
def attention(recorded: dict[str, Tensor]) -> DeformableAttention:
    module = DeformableAttention(width=64, heads=4, levels=4, points=4)
    module.load_state_dict(
        {
            f"{ours}.{kind}": recorded[f"param/{theirs}.{kind}"]
            for ours, theirs in NAMES.items()
            for kind in ("weight", "bias")
        }
    )
    return module


def shapes(recorded: dict[str, Tensor]) -> list[tuple[int, int]]:
    return [(int(h), int(w)) for h, w in recorded["in/spatial_shapes"]]


@pytest.mark.parametrize("references", ["ref2", "ref4"])
@pytest.mark.parametrize("padding", ["mask", "nomask"])
def test_values_equal_the_recorded_ones(
    recorded: dict[str, Tensor], attention: DeformableAttention, references: str, padding: str
) -> None:
    is_padding = recorded["in/padding_mask"] if padding == "mask" else None
    out = attention(
        recorded["in/query"], recorded[f"in/{references}"], recorded["in/value"], shapes(recorded), is_padding
    )
    torch.testing.assert_close(out, recorded[f"out/{references}_{padding}"], rtol=1e-4, atol=1e-4)


def test_gradients_equal_the_recorded_ones(recorded: dict[str, Tensor], attention: DeformableAttention) -> None:
    query, references, value = (recorded[f"in/{name}"].requires_grad_() for name in ("query", "ref4", "value"))
    out = attention(query, references, value, shapes(recorded), recorded["in/padding_mask"])
    (out * recorded["in/grad_out"]).sum().backward()
    for given, name in ((query, "query"), (references, "ref4"), (value, "value")):
        torch.testing.assert_close(given.grad, recorded[f"grad/{name}"], rtol=1e-3, atol=1e-3)
    for ours, theirs in NAMES.items():
        for kind in ("weight", "bias"):
            found = attention.get_parameter(f"{ours}.{kind}").grad
            torch.testing.assert_close(found, recorded[f"grad/param/{theirs}.{kind}"], rtol=1e-3, atol=1e-3)


def test_start_looks_along_one_ray_per_head(recorded: dict[str, Tensor]) -> None:
    small, large = DeformableAttention(64, 4, 4, 4), DeformableAttention(256, 8, 4, 4)
    torch.testing.assert_close(small.offsets.bias, recorded["out/init/sampling_offsets.bias"])
    torch.testing.assert_close(large.offsets.bias, recorded["out/init_d256_h8_l4_p4/sampling_offsets.bias"])
    for module in (small.offsets.weight, small.weights.weight, small.weights.bias, small.value.bias, small.out.bias):
        assert not module.any()


def test_a_sample_at_a_cell_centre_is_that_cell() -> None:
    value = torch.randn(1, 6 + 2, 1, 3)  # maps of 2x3 and 1x2 cells
    centre = torch.tensor([(2 + 0.5) / 3, (1 + 0.5) / 2])
    locations = torch.full((1, 1, 1, 2, 1, 2), 5.0)  # the second level is looked at outside of its map
    locations[0, 0, 0, 0, 0] = centre
    out = sample_levels(value, [(2, 3), (1, 2)], locations, torch.ones(1, 1, 1, 2, 1))
    torch.testing.assert_close(out[0, 0], value[0, 5, 0])


def test_padded_tokens_have_no_influence() -> None:
    torch.manual_seed(0)
    module = DeformableAttention(8, 2, 1, 2)
    source, query = torch.randn(2, 12, 8), torch.randn(2, 5, 8)
    is_padding = torch.arange(12).expand(2, -1) % 4 == 3
    other = torch.where(is_padding[..., None], torch.randn(2, 12, 8), source)
    references = torch.rand(2, 5, 1, 2)
    out = module(query, references, source, [(3, 4)], is_padding)
    assert torch.equal(out, module(query, references, other, [(3, 4)], is_padding))
    assert not torch.allclose(out, module(query, references, other, [(3, 4)]))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="width 10 is not divisible by heads 4"):
        DeformableAttention(10, 4, 1, 1)


@pytest.mark.parametrize("padding", [True, False])
def test_inference_in_parts_equals_the_whole(
    recorded: dict[str, Tensor], attention: DeformableAttention, padding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uniperceiver.model.layers.deformable_attention.PART", 7)
    given = (recorded["in/query"], recorded["in/ref2"], recorded["in/value"], shapes(recorded))
    is_padding = recorded["in/padding_mask"] if padding else None
    with torch.no_grad():
        found = attention(*given, is_padding)
    assert recorded["in/query"].shape[1] > 7
    torch.testing.assert_close(found, attention(*given, is_padding).detach(), rtol=1e-5, atol=1e-5)
