"""Uni-Perceiver: encode each side with f, decode it with g, compare by cosine (Fig. 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import ModelConfig
from uniperceiver.model.image_encoder import ImageEncoder, ImageFeatures
from uniperceiver.model.segments import Decoded, Segment, Side, TaskAttributes
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.unified_decoder import UnifiedDecoder

_SHARPEST = 100.0
"""Bound of 1/τ."""


class UniPerceiver(nn.Module):
    """f_image, f_text and g, and the temperature of Eq. (6). Knows no task: see `tasks`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.f_image = ImageEncoder(config.image, config.decoder.width)
        self.f_text = TextEncoder(config.text, config.decoder.width)
        self.g = UnifiedDecoder(config.decoder)
        self.log_inverse_temperature = nn.Parameter(torch.tensor(-math.log(config.initial_temperature)))

    def encode_image(self, images: ImageBatch) -> ImageFeatures:
        """f_image(x), Eq. (1): global ‖ regional tokens, and the proposals they came from."""
        return self.f_image(images)

    def encode_text(self, text: TextBatch) -> Segment:
        """f_text(x), Eq. (4)."""
        return self.f_text(text)

    def decode(self, *segments: Segment, attributes: TaskAttributes, side: Side = "input") -> Decoded:
        """g(<SPE> ‖ segments): one side of Eq. (6), input or target."""
        return self.g(segments, attributes, side)

    def temperature(self) -> Tensor:
        """τ of Eq. (6), a scalar, at least 1/100.

        Where 1/τ would exceed 100 the constant replaces it, so the parameter gets no gradient there
        (spec/uni_perceiver_v1_moe.md, 2.6).
        """
        learned = self.log_inverse_temperature.float()
        bound = learned.new_tensor(math.log(_SHARPEST))
        return torch.where(learned <= bound, learned, bound).neg().exp()

    def deployed_parameters(self, streams: int = 1) -> int:
        """Number of parameters when g is folded for this many streams of tokens (Tab. 6, "#params", counts one)."""
        encoders = sum(p.numel() for module in (self.f_image, self.f_text) for p in module.parameters())
        return encoders + self.g.deployed_parameters(streams) + self.log_inverse_temperature.numel()
