"""v1's pictures and videos as patches: places in space and time, padding, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uniperceiver.batches import ImageBatch, VideoBatch
from uniperceiver.config import PatchEncoderConfig
from uniperceiver.model.patch_tokens import PatchTokens, sine_cosine_grid

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def tokens() -> PatchTokens:
    torch.manual_seed(0)
    return PatchTokens(PatchEncoderConfig("patches", image_size=64, frames=3, position_size=64), 16).eval()


def pictures(number: int = 2) -> ImageBatch:
    return ImageBatch(torch.randn(number, 3, 64, 64), torch.zeros(number, 64, 64, dtype=torch.bool))


@pytest.mark.parametrize(
    ("name", "side", "scale"),
    [("d64_g4_s1", 4, 1.0), ("d64_g14_s160over224", 14, 160 / 224), ("d64_g24_s160over384", 24, 160 / 384)],
)
def test_places_equal_the_recorded_ones(name: str, side: int, scale: float) -> None:
    golden = load_file(GOLDEN / "uniperceiver_v1_misc.safetensors")
    torch.testing.assert_close(sine_cosine_grid(side, 64, scale), golden[f"out/sincos_{name}"], atol=1e-6, rtol=0)


def test_a_picture_is_a_video_of_one_frame(tokens: PatchTokens) -> None:
    batch = pictures()
    image, video = tokens(batch), tokens.video(VideoBatch(batch.pixels[:, None]))
    assert image.tokens.shape == (2, 16, 16)
    assert torch.equal(image.tokens, video.tokens)
    assert not image.is_padding.any()


def test_frames_follow_each_other_and_differ_by_their_place_in_time(tokens: PatchTokens) -> None:
    still = pictures(1).pixels[:, None].expand(-1, 3, -1, -1, -1)
    frames = tokens.video(VideoBatch(still)).tokens.unflatten(1, (3, 16))
    times = tokens.temporal_positions.weight
    torch.testing.assert_close(frames[:, 2] - frames[:, 0], (times[2] - times[0]).expand(1, 16, -1))


def test_training_starts_at_any_place_in_time(tokens: PatchTokens) -> None:
    batch = pictures(2)
    base = tokens(batch).tokens - tokens.temporal_positions.weight[0]
    tokens.train()
    torch.manual_seed(0)
    starts = set()
    for _ in range(20):
        shift = tokens(batch).tokens - base
        torch.testing.assert_close(shift, shift[:1, :1].expand_as(shift), atol=1e-5, rtol=0)  # one draw for the batch
        starts.add(int((tokens.temporal_positions.weight - shift[0, 0]).norm(dim=1).argmin()))
    assert starts == {0, 1, 2}


def test_a_patch_of_padding_alone_is_padding(tokens: PatchTokens) -> None:
    batch = pictures(1)
    batch.is_padding[0, 40:] = True
    batch.is_padding[0, :, 48:] = True
    expected = torch.tensor([[0, 0, 0, 1]] * 3 + [[1, 1, 1, 1]]).bool()
    assert torch.equal(tokens(batch).is_padding[0].view(4, 4), expected)


def test_other_sizes_are_errors(tokens: PatchTokens) -> None:
    with pytest.raises(ValueError, match=r"64×64 pixels.*got 32×64"):
        tokens.video(VideoBatch(torch.zeros(1, 1, 3, 32, 64)))
    with pytest.raises(ValueError, match="4 frames is too long"):
        tokens.video(VideoBatch(torch.zeros(1, 4, 3, 64, 64)))
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_cosine_grid(2, 10, 1.0)
    with pytest.raises(ValueError, match=r"not a multiple of image\.patch"):
        PatchEncoderConfig("patches", image_size=60)
