"""f_image of Uni-Perceiver v1: patches of a picture or of video frames (spec/uni_perceiver_v1_moe.md, 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch, VideoBatch
from uniperceiver.config import PatchEncoderConfig
from uniperceiver.model.segments import Segment


class PatchTokens(nn.Module):
    """One linear map of every patch, plus its place in the frame and the frame's place in time.

    A picture is a video of one frame. The normalisation that follows in v1 is g's (``decoder.input_norm``), since texts
    usually share it.
    """

    spatial_positions: Tensor

    def __init__(self, config: PatchEncoderConfig, width: int) -> None:
        """``width`` is D, a multiple of four."""
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(3, width, config.patch, stride=config.patch)
        side = config.image_size // config.patch
        scale = config.position_size / config.image_size
        self.register_buffer("spatial_positions", sine_cosine_grid(side, width, scale))
        self.temporal_positions = nn.Embedding(config.frames, width)
        self._initialise()

    def _initialise(self) -> None:
        """v1, section 2.7: the patch map Xavier-uniform as a matrix, places in time N(0, 0.02²)."""
        nn.init.xavier_uniform_(self.patches.weight.flatten(1))
        if self.patches.bias is not None:
            nn.init.zeros_(self.patches.bias)
        nn.init.normal_(self.temporal_positions.weight, std=0.02)

    def forward(self, images: ImageBatch) -> Segment:
        """Pictures (B, 3, H, W) -> tokens (B, M, D), row by row; a patch of padding alone is padding.

        Raises:
            ValueError: H or W is not the configured size, whose places are the only ones there are.
        """
        segment = self.video(VideoBatch(images.pixels[:, None]))
        if bool(images.is_padding.any()):
            size = self.config.patch
            covered = images.is_padding.unflatten(2, (-1, size)).unflatten(1, (-1, size)).all(dim=4).all(dim=2)
            segment.is_padding.copy_(covered.flatten(1))
        return segment

    def video(self, videos: VideoBatch) -> Segment:
        """Clips (B, T, 3, H, W) -> tokens (B, T·M, D), frame after frame, row by row within a frame.

        In training the first frame stands at a random place in time, one draw for the batch, also that of a picture.
        """
        batch, frames, _, height, width = videos.pixels.shape
        self._check(frames, height, width)
        patches = self.patches(videos.pixels.flatten(0, 1)).flatten(2).mT.unflatten(0, (batch, frames))
        spare = self.config.frames - frames
        start = int(torch.randint(spare + 1, ())) if self.training else 0
        times = self.temporal_positions.weight[start : start + frames]
        tokens = (patches + times[:, None] + self.spatial_positions).flatten(1, 2)
        is_padding = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return Segment(tokens, is_padding, "image")

    def _check(self, frames: int, height: int, width: int) -> None:
        size = self.config.image_size
        if (height, width) != (size, size):
            raise ValueError(
                f"this model takes pictures of {size}×{size} pixels (image.image_size), got {height}×{width}: resize "
                "them, or convert the checkpoint with another image size"
            )
        if frames > self.config.frames:
            longest = self.config.frames
            raise ValueError(f"a clip of {frames} frames is too long: this model takes {longest} (image.frames)")


def sine_cosine_grid(side: int, width: int, scale: float) -> Tensor:
    """Places of side × side patches, (side², width) float32, row by row: sin and cos of the row, then of the column.

    Angles are coordinate · ``scale`` · 10000^(-4i/width) for i < width/4. ValueError if ``width`` is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f"sine-cosine places need a width that is a multiple of 4, got {width}")
    frequencies = 10000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * scale * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1).float()
