"""What a user would pick for detection and masks: torchvision's Mask R-CNN on the backbone that `nano` starts from."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from specialist_networks import Ingredients
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from uniperceiver.boxes import cxcywh_to_xyxy
from uniperceiver.model.backbone import Backbone
from uniperceiver.predictions import Detection

PYRAMID = 128
"""Channels of the feature pyramid: the width of nano's proposal network."""
ANCHORS = ((16,), (32,), (64,), (128,), (256,))
"""Half of torchvision's, for pictures of 160 to 320 pixels."""
HIDDEN = 256
"""Width of the box head."""
REGIONS = 64
"""Regions of a picture that a training step looks at. torchvision's 512, and heads of its width, are for photographs of
800 pixels: with them a step took 26 seconds of a core and in 19 minutes nothing was learnt. So it takes 2.4."""


class PyramidBackbone(nn.Module):
    """The backbone's four maps through a feature pyramid, as torchvision's detectors want them."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_channels = PYRAMID
        self.pyramid = FeaturePyramidNetwork(list(backbone.channels), PYRAMID, extra_blocks=LastLevelMaxPool())

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Five maps by name."""
        return self.pyramid(OrderedDict((str(level), x) for level, x in enumerate(self.backbone(pixels))))


class AsTheyAre(GeneralizedRCNNTransform):
    """Leaves pictures their size. torchvision's `_skip_resize` does so in training alone: in use it enlarges to 800."""

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        """Nothing."""
        return image, target


class RegionDetector(nn.Module):
    """torchvision's Mask R-CNN, heads as wide as its pyramid; pictures come normalised and of their size already."""

    def __init__(self, parts: Ingredients) -> None:
        super().__init__()
        self.names = parts.candidates.texts
        classes = len(self.names) + 1
        self.network = MaskRCNN(
            PyramidBackbone(parts.backbone),
            box_head=TwoMLPHead(PYRAMID * 7 * 7, HIDDEN),
            box_predictor=FastRCNNPredictor(HIDDEN, classes),
            box_batch_size_per_image=REGIONS,
            mask_head=MaskRCNNHeads(PYRAMID, (PYRAMID,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(PYRAMID, PYRAMID, classes),
            rpn_anchor_generator=AnchorGenerator(ANCHORS, ((0.5, 1.0, 2.0),) * len(ANCHORS)),
            box_score_thresh=0.01,
        )
        self.network.transform = AsTheyAre(1, 1, image_mean=[0.0, 0.0, 0.0], image_std=[1.0, 1.0, 1.0])

    def loss(self, batch: Any) -> Tensor:
        """The sum of the five losses."""
        return torch.stack(list(self.network(self._pictures(batch), self._targets(batch)).values())).sum()

    def _targets(self, batch: Any) -> list[dict[str, Tensor]]:
        targets = []
        for target, (h, w) in zip(batch.targets, batch.sizes, strict=True):
            boxes = cxcywh_to_xyxy(target.boxes) * torch.tensor([w, h, w, h], device=target.boxes.device)
            kept = (boxes[:, 2:] > boxes[:, :2] + 0.5).all(dim=1)  # torchvision refuses boxes without area
            masks = target.masks[kept][:, :h, :w].to(torch.uint8)
            targets.append({"boxes": boxes[kept], "labels": target.labels[kept] + 1, "masks": masks})
        return targets

    def predict(self, batch: Any) -> list[Detection]:
        """Boxes and masks in pixels of the original picture."""
        outputs = self.network(self._pictures(batch))
        return [self._detection(*row) for row in zip(outputs, batch.sizes, batch.original_sizes, strict=True)]

    def _detection(self, output: dict[str, Tensor], size: tuple[int, int], original: tuple[int, int]) -> Detection:
        ratio = torch.tensor([original[1] / size[1], original[0] / size[0]] * 2, device=output["boxes"].device)
        soft = F.interpolate(output["masks"], original, mode="bilinear") if len(output["masks"]) else output["masks"]
        masks = (soft[:, 0] > 0.5).cpu().numpy() if len(soft) else np.zeros((0, *original), dtype=bool)
        labels = (output["labels"] - 1).cpu().numpy()
        return Detection(
            boxes=(output["boxes"] * ratio).double().cpu().numpy(),
            scores=output["scores"].double().cpu().numpy(),
            labels=labels,
            names=tuple(self.names[label] for label in labels),
            masks=masks,
            mask_scores=np.ones(len(labels)),
        )

    def _pictures(self, batch: Any) -> list[Tensor]:
        return [pixels[:, :h, :w] for pixels, (h, w) in zip(batch.images.pixels, batch.sizes, strict=True)]
