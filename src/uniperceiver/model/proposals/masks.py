"""Masks: the per-pixel map of Eq. (8), boxes from masks, and masks in the pixels of the caller's picture."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.boxes import cxcywh_to_xyxy, inverse_sigmoid, masks_to_boxes, masks_to_extents, xyxy_to_cxcywh
from uniperceiver.config import ProposalConfig
from uniperceiver.model.layers.group_norm import GroupNorm
from uniperceiver.model.proposals.pyramid import resize_padding, valid_ratio

_EPSILON = 1e-6


class MaskFeatures(nn.Module):
    """The map that mask embeddings are multiplied with: R(G(F_0) + H(F_1^enc)) of Eq. (8).

    Paper: H is a 1×1 convolution, a group norm and an upsampling; in Mask DINO it is the upsampling alone
    (``mask_fusion: identity``, A2). The "Upsample" of Eq. (8) to image size is left to `masks_in_picture`, since the
    losses compare masks at points (A3).
    """

    def __init__(self, config: ProposalConfig, channels: int) -> None:
        """``channels``: of the stride-4 map F_0."""
        super().__init__()
        width = config.width
        self.lateral = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), GroupNorm(width))
        self.encoded: nn.Module = nn.Identity()
        if config.mask_fusion == "conv_gn":
            self.encoded = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), GroupNorm(width))
        self.smooth = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), GroupNorm(width), nn.ReLU())
        self.out = nn.Conv2d(width, config.mask_width, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-uniform convolutions for a linear successor, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, stride_4: Tensor, encoded: Tensor) -> Tensor:
        """The per-pixel map (B, Cm, H/4, W/4) of Eq. (8).

        Args:
            stride_4: (B, channels, H/4, W/4), F_0 of the backbone.
            encoded: (B, C, h, w), the encoder's finest map.
        """
        size = stride_4.shape[-2:]
        upsampled = F.interpolate(self.encoded(encoded), size=size, mode="bilinear", align_corners=False)
        smooth = self.smooth(self.lateral(stride_4) + upsampled)
        with torch.autocast(smooth.device.type, enabled=False):
            return self.out(smooth.to(self.out.weight.dtype))


def boxes_of_masks_unsigmoid(logits: Tensor, is_padding: Tensor | None, kind: Literal["mask2box", "bitmask"]) -> Tensor:
    """Boxes (B, Q, 4) before the sigmoid around masks, Mask DINO's mask-enhanced box initialisation (A7).

    Args:
        logits: (B, Q, h, w); a mask is where they are positive.
        is_padding: (B, H, W) bool at image size; padding is in no mask, and boxes are relative to what is not padding.
        kind: whether the far sides of the boxes are the last pixels or just behind them (`uniperceiver.boxes`).
    """
    height, width = logits.shape[-2:]
    masks = logits > 0
    size = logits.new_tensor([width, height])
    if is_padding is not None:
        at_stride_4 = resize_padding(is_padding, (height, width))
        masks = masks & ~at_stride_4[:, None]
        size = (size * valid_ratio(at_stride_4))[:, None]
    corners = masks_to_extents(masks) if kind == "mask2box" else masks_to_boxes(masks)
    return inverse_sigmoid(xyxy_to_cxcywh(corners) / torch.cat([size, size], dim=-1)).to(logits.dtype)


def masks_in_picture(
    logits: Tensor, canvas: tuple[int, int], resized: tuple[int, int], original: tuple[int, int]
) -> Tensor:
    """The "Upsample" of Eq. (8): logits (n, h, w) at stride 4 as logits (n, H, W) in the caller's picture.

    Args:
        logits: (n, h, w), of one image.
        canvas: (H, W) of the batch, padding included.
        resized: (H, W) of the image in it.
        original: (H, W) of the caller's picture.
    """
    on_canvas = F.interpolate(logits[None], size=canvas, mode="bilinear", align_corners=False)
    in_image = on_canvas[:, :, : resized[0], : resized[1]]
    return F.interpolate(in_image, size=original, mode="bilinear", align_corners=False)[0]


def within_boxes(logits: Tensor, boxes: Tensor, margin: float) -> Tensor:
    """Logits of masks (n, H, W), minus infinity where a pixel's centre lies outside of the mask's box.

    Boxes (n, 4) are (cx, cy, w, h) in [0, 1] and first grow on every side by ``margin`` times their width or height.
    Source: YOLACT ("Cropping Masks") does so with the predicted boxes, without a margin; Mask DINO does not.
    """
    height, width = logits.shape[-2:]
    grown = torch.cat([boxes[:, :2], boxes[:, 2:] * (1 + 2 * margin)], dim=1)
    x0, y0, x1, y1 = cxcywh_to_xyxy(grown)[..., None].unbind(1)
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    y = (torch.arange(height, device=boxes.device) + 0.5) / height
    is_inside = ((y0 <= y) & (y <= y1))[:, :, None] & ((x0 <= x) & (x <= x1))[:, None]
    return logits.masked_fill(~is_inside, float("-inf"))


def mask_scores(logits: Tensor) -> Tensor:
    """Mean probability inside the masks ``logits > 0`` of (n, H, W), (n,) in [0, 1]; 0 for an empty mask."""
    inside = (logits > 0).to(logits.dtype)
    return (logits.sigmoid() * inside).sum(dim=(1, 2)) / (inside.sum(dim=(1, 2)) + _EPSILON)
