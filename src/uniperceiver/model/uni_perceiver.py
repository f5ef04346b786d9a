"""Uni-Perceiver: encode each side with f, decode it with g, compare by cosine (Fig. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch, TextBatch, VideoBatch
from uniperceiver.config import ModelConfig, PatchEncoderConfig, TemperatureGroup, WordEmbeddingConfig
from uniperceiver.linear import use_quick_products
from uniperceiver.model.image_encoder import ImageEncoder, ImageFeatures
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.linear_head import LinearHead
from uniperceiver.model.patch_tokens import PatchTokens
from uniperceiver.model.segments import Decoded, Segment, Side, TaskAttributes
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.unified_decoder import UnifiedDecoder
from uniperceiver.model.word_embedding import WordEmbedding

_SHARPEST = 100.0
"""Bound of 1/τ."""
_PARTS = ("f_image.backbone", "f_image.proposals", "f_image", "f_text", "g", "heads")


def part_of(name: str) -> str:
    """The part of a `UniPerceiver` that its parameter of this name is counted with. Parts are disjoint."""
    return next((part for part in _PARTS if name.startswith(f"{part}.")), "temperature")


class UniPerceiver(nn.Module):
    """f_image, f_text and g, and the temperature of Eq. (6). Knows no task: see `tasks`.

    The families differ in which f they have: v2 looks at regions and reads with a language model, v1 cuts patches and
    looks words up.
    """

    f_image: ImageEncoder | PatchTokens
    f_text: TextEncoder | WordEmbedding

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder.width
        if isinstance(config.image, PatchEncoderConfig):
            self.f_image = PatchTokens(config.image, width)
        else:
            self.f_image = ImageEncoder(config.image, width)
        if isinstance(config.text, WordEmbeddingConfig):
            self.f_text = WordEmbedding(config.text, width)
        else:
            self.f_text = TextEncoder(config.text, width)
        self.g = UnifiedDecoder(config.decoder)
        self.heads = nn.ModuleList(LinearHead(head, width) for head in config.heads)
        start = torch.tensor(-math.log(config.initial_temperature))
        if config.temperatures:
            self.log_inverse_temperatures = nn.ParameterDict({n: start.clone() for n in config.temperatures})
        else:
            self.log_inverse_temperature = nn.Parameter(start)
        use_quick_products(self)

    @property
    def region_encoder(self) -> ImageEncoder:
        """f_image where it looks at regions.

        Raises:
            ValueError: it cuts patches (v1), so there is nothing to detect with.
        """
        if isinstance(self.f_image, PatchTokens):
            raise ValueError("this model's f_image cuts patches (image.kind is patches): it has no regions to detect")
        return self.f_image

    def encode_image(self, images: ImageBatch) -> ImageFeatures:
        """f_image(x), Eq. (1): global ‖ regional tokens, and the proposals they came from; in v1 patches."""
        features = self.f_image(images)
        return ImageFeatures(features, None) if isinstance(features, Segment) else features

    def encode_video(self, videos: VideoBatch) -> Segment:
        """f_image of frames (v1): patches with places in space and time, frame after frame.

        Raises:
            ValueError: this f_image has no places in time (v2), or more frames than places.
        """
        if not isinstance(self.f_image, PatchTokens):
            raise ValueError("this model's f_image reads single pictures: videos need image.kind patches (v1)")
        return self.f_image.video(videos)

    def encode_text(self, text: TextBatch) -> Segment:
        """f_text(x), Eq. (4)."""
        return self.f_text(text)

    def decode(self, *segments: Segment, attributes: TaskAttributes, side: Side = "input") -> Decoded:
        """g(<SPE> ‖ segments): one side of Eq. (6), input or target."""
        return self.g(segments, attributes, side, self._spe())

    def summary(self, *segments: Segment, attributes: TaskAttributes, side: Side = "input") -> Tensor:
        """What `decode` reads out at <SPE>, (B, D): the representation of a whole input or target."""
        return self.g.summary(segments, attributes, side, self._spe())

    def prefill(self, *segments: Segment, attributes: TaskAttributes) -> KeyValues:
        """Keys and values of <SPE> ‖ non-causal input segments in g, before any word is generated."""
        return self.g.prefill(segments, attributes, self._spe())

    def _spe(self) -> Tensor | None:
        """<SPE> where it is a word (v1); None where g has its own."""
        return self.f_text.spe() if isinstance(self.f_text, WordEmbedding) else None

    def temperature(self, group: TemperatureGroup | None = None) -> Tensor:
        """τ of Eq. (6), a scalar, at least 1/100. v1 has one for each ``group`` of tasks, v2 one for all.

        Where 1/τ would exceed 100 the constant replaces it, so the parameter gets no gradient there
        (spec/uni_perceiver_v1_moe.md, 2.6). ValueError for a group that the configuration does not list.
        """
        learned = self._log_inverse_temperature(group).float()
        bound = learned.new_tensor(math.log(_SHARPEST))
        return torch.where(learned <= bound, learned, bound).neg().exp()

    def head_for(self, classes: Sequence[str]) -> LinearHead | None:
        """The linear head that prompt tuning has added for these class names, in this order; None without one."""
        for head in self.heads:
            assert isinstance(head, LinearHead)
            if head.classes == tuple(classes):
                return head
        return None

    def _log_inverse_temperature(self, group: TemperatureGroup | None) -> nn.Parameter:
        if not self.config.temperatures:
            return self.log_inverse_temperature
        if group not in self.config.temperatures:
            known = ", ".join(self.config.temperatures)
            raise ValueError(f"this model has no temperature for the tasks {group!r}, only for {known} (temperatures)")
        return self.log_inverse_temperatures[group]

    def deployed_parameters(self, streams: int = 1) -> int:
        """Number of parameters when g is folded for this many streams of tokens (Tab. 6, "#params", counts one)."""
        encoders = sum(p.numel() for module in (self.f_image, self.f_text, self.heads) for p in module.parameters())
        temperatures = max(len(self.config.temperatures), 1)
        return encoders + self.g.deployed_parameters(streams) + temperatures
