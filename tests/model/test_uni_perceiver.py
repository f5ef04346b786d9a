"""f_image, f_text and g joined: encode, decode, compare."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import ModelConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.likelihood import most_likely, negative_log_likelihood
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver

CLASSIFICATION = TaskAttributes(input_image=True, input_text=False)
CAPTIONING = TaskAttributes(input_image=True, input_text=True)


@pytest.fixture
def model(tiny_model_config: ModelConfig) -> UniPerceiver:
    torch.manual_seed(0)
    return UniPerceiver(tiny_model_config).eval()


@pytest.fixture
def images() -> ImageBatch:
    generator = torch.Generator().manual_seed(0)
    pixels = [torch.randint(256, (3, 64, 64), dtype=torch.uint8, generator=generator) for _ in range(2)]
    return ImageBatch.from_images(pixels, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture
def names(tokenizer: Tokenizer) -> TextBatch:
    return TextBatch.from_ids(tokenizer.encode_batch(["a red car", "dogs", "a small table"]), tokenizer.padding_id)


def test_an_image_is_compared_with_texts(model: UniPerceiver, images: ImageBatch, names: TextBatch) -> None:
    features = model.encode_image(images)
    x = model.decode(features.segment, attributes=CLASSIFICATION)
    y = model.decode(model.encode_text(names), attributes=CLASSIFICATION, side="target").spe
    assert x.spe.shape == (2, 40)
    assert x.segments[0].shape == features.segment.tokens.shape
    assert y.shape == (3, 40)
    assert most_likely(x.spe, y).shape == (2,)


def test_side_and_task_route_differently(model: UniPerceiver, names: TextBatch) -> None:
    text = model.encode_text(names)
    target = model.decode(text, attributes=CLASSIFICATION, side="target").spe
    assert not torch.allclose(model.decode(text, attributes=CLASSIFICATION).spe, target)
    assert not torch.allclose(model.decode(text, attributes=CAPTIONING, side="target").spe, target)


def test_captions_step_by_step_equal_the_training_layout(
    model: UniPerceiver, images: ImageBatch, tokenizer: Tokenizer
) -> None:
    ids = [tokenizer.encode("two dogs run", special=False), tokenizer.encode("a cat sits", special=False)]
    assert len(ids[0]) == len(ids[1])
    layout = TextBatch.with_slot_per_word(ids, tokenizer.padding_id, tokenizer.slot_id)
    with torch.no_grad():
        image = model.encode_image(images).segment
        slots = model.decode(image, model.encode_text(layout), attributes=CAPTIONING).segments[1]
        cache, text_cache = model.g.prefill([image], CAPTIONING), KeyValues()
        for t in range(len(ids[0])):
            places = [len(ids[0]) + t] if t == 0 else [t - 1, len(ids[0]) + t]
            new = replace(
                layout,
                ids=layout.ids[:, places],
                is_padding=layout.is_padding[:, places],
                positions=layout.positions[:, places],
                is_slot=layout.is_slot[:, places],
            )
            segment, text_cache = model.f_text.step(new, text_cache)
            out, cache = model.g.step(segment, CAPTIONING, cache)
            torch.testing.assert_close(out[:, -1], slots[:, len(ids[0]) + t], atol=1e-5, rtol=1e-5)


def test_temperature_starts_where_configured_and_is_bounded(model: UniPerceiver) -> None:
    torch.testing.assert_close(model.temperature(), torch.tensor(0.07))
    for inverse, expected in ((99.0, 1 / 99), (100.001, 0.01), (1e30, 0.01), (0.5, 2.0)):
        with torch.no_grad():
            model.log_inverse_temperature.fill_(math.log(inverse))
        torch.testing.assert_close(model.temperature(), torch.tensor(expected))


@pytest.mark.parametrize(("inverse", "has_gradient"), [(20.0, True), (99.0, True), (101.0, False), (1e30, False)])
def test_no_gradient_beyond_the_bound(model: UniPerceiver, inverse: float, has_gradient: bool) -> None:
    with torch.no_grad():
        model.log_inverse_temperature.fill_(math.log(inverse))
    x, y = torch.randn(2, 40), torch.randn(3, 40)
    negative_log_likelihood(x, y, model.temperature(), torch.tensor([0, 1])).sum().backward()
    gradient = model.log_inverse_temperature.grad
    assert gradient is not None
    assert gradient.isfinite()
    assert bool(gradient != 0) == has_gradient


def test_gradients_reach_both_encoders(model: UniPerceiver, images: ImageBatch, names: TextBatch) -> None:
    x = model.decode(model.encode_image(images).segment, attributes=CLASSIFICATION).spe
    y = model.decode(model.encode_text(names), attributes=CLASSIFICATION, side="target").spe
    negative_log_likelihood(x, y, model.temperature(), torch.tensor([0, 2])).mean().backward()
    for part in (model.f_image, model.f_text, model.g):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_deployed_parameters_leave_experts_and_gates_out(model: UniPerceiver) -> None:
    everything = sum(p.numel() for p in model.parameters())
    conditional = sum(p.numel() for layer in model.g.stack for p in layer.feed_forward.parameters())
    one_feed_forward = 2 * 40 * 64 + 40 + 64
    assert model.deployed_parameters() == everything - conditional + 2 * one_feed_forward
    assert model.deployed_parameters(3) == model.deployed_parameters() + 2 * 2 * one_feed_forward


@pytest.mark.parametrize("size", [(32, 32), (4000, 300)])
def test_pictures_of_extreme_sizes_are_encoded_as_they_are(
    tiny_model_config: ModelConfig, size: tuple[int, int]
) -> None:
    model = UniPerceiver(tiny_model_config).eval()
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    images = ImageBatch.from_images([image], (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    with torch.no_grad():
        features = model.encode_image(images)
        decoded = model.decode(features.segment, attributes=CLASSIFICATION)
    assert features.proposals is not None
    assert features.proposals.boxes.isfinite().all()
    assert decoded.spe.isfinite().all()
