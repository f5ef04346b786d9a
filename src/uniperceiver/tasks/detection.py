"""Detection and instance segmentation: the regions of <SPE> ‖ image against class names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torchvision.ops import nms

from uniperceiver.batches import ImageBatch, ObjectTargets
from uniperceiver.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from uniperceiver.data.records import AnnotatedImage
from uniperceiver.distributed import mean_over_all
from uniperceiver.likelihood import log_likelihood, negative_log_likelihood
from uniperceiver.losses.matching import Matches
from uniperceiver.losses.proposal_loss import objectness_loss, proposal_loss
from uniperceiver.model.image_encoder import ImageFeatures, KeptProposals
from uniperceiver.model.proposals.denoising import make_denoising_queries
from uniperceiver.model.proposals.masks import mask_scores, masks_in_picture, within_boxes
from uniperceiver.model.proposals.outputs import mask_logits
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.predictions import Detection
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import NamedData, TaskSetting

LISTED = 100
"""Objects of one picture, at most (spec/mask_dino.md, section 8)."""
MASKS_AT_ONCE = 2**26
"""Mask values brought to the picture's size together: 256 MiB of float32."""


@dataclass(frozen=True)
class DetectionBatch:
    """Pictures and their objects."""

    images: ImageBatch
    targets: tuple[ObjectTargets, ...]
    """One per picture, crowds left out, masks on the padded canvas."""
    sizes: tuple[tuple[int, int], ...]
    """(H, W) of each picture without its padding."""
    original_sizes: tuple[tuple[int, int], ...]
    """(H, W) of each picture as stored, in whose pixels predictions are given."""

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        targets = tuple(target.to(device) for target in self.targets)
        return replace(self, images=self.images.to(device), targets=targets)


class DetectionTask:
    """x = <SPE> ‖ image, represented at its regions; Y = class names.

    Paper: background is no class name, so Eq. (7) trains matched proposals only (A18); background is learnt by the
    objectness of the proposal network and by that of the fused representations (A15).
    """

    attributes = TaskAttributes(input_image=True, input_text=False)

    def __init__(self, setting: TaskSetting, candidates: CandidateSet) -> None:
        self.setting = setting
        self.candidates = candidates

    @classmethod
    def find_candidates(cls, setting: TaskSetting, dataset: NamedData) -> CandidateSet:
        """The class names of a data set."""
        return CandidateSet.from_texts(dataset.names, setting.tokenizer)

    def collate(self, records: Sequence[AnnotatedImage]) -> DetectionBatch:
        """Pictures padded to one size, and their objects."""
        backbone = self.setting.backbone
        images = ImageBatch.from_images([r.image for r in records], backbone.image_mean, backbone.image_std)
        canvas = (images.pixels.shape[2], images.pixels.shape[3])
        return DetectionBatch(
            images=images,
            targets=tuple(_targets(record, canvas) for record in records),
            sizes=tuple((r.image.shape[1], r.image.shape[2]) for r in records),
            original_sizes=tuple(r.original_size for r in records),
        )

    def loss(self, model: UniPerceiver, batch: DetectionBatch) -> dict[str, Tensor]:
        """The proposal network's losses, the objectness of the fused proposals, and Eq. (7) of the matched ones.

        Matched proposals always reach g (A17). Everything is zero, or background, in a batch without objects.
        """
        encoder = model.region_encoder
        config = encoder.config.proposals
        if config is None:
            raise ValueError("detection needs region proposals, but the model has image.proposals: null")
        denoising = make_denoising_queries(batch.targets, config.denoising, config.queries)
        perception = encoder.propose(batch.images, denoising)
        assert perception.output is not None
        assert perception.objectness is not None
        supervised = proposal_loss(perception.output, batch.targets, denoising, self.setting.proposal_loss)
        matches = supervised.matches
        must_keep = torch.zeros_like(perception.objectness, dtype=torch.bool)
        must_keep[matches.image, matches.query] = True
        features = encoder.represent(perception, must_keep)
        logits = perception.objectness[..., None].float()
        fused = objectness_loss(logits, matches, torch.zeros_like(matches.query), supervised.normaliser)
        return {
            **supervised.weighted,
            "fused_objectness": self.setting.proposal_loss.objectness * fused,
            "names": self.setting.proposal_loss.names * self._names_loss(model, features, batch.targets, matches),
        }

    def _names_loss(
        self, model: UniPerceiver, features: ImageFeatures, targets: Sequence[ObjectTargets], matches: Matches
    ) -> Tensor:
        """Eq. (7) on the kept matched proposals, mean over those of all processes (A18, A21)."""
        assert features.proposals is not None
        is_pair = features.proposals.index[matches.image] == matches.query[:, None]
        pair, place = is_pair.nonzero(as_tuple=True)  # a pair is missing where more objects than O were matched
        image, target = matches.image[pair], matches.target[pair]
        counts = torch.tensor([len(t.labels) for t in targets], device=image.device)
        starts = counts.cumsum(0) - counts
        labels = torch.cat([t.labels for t in targets])[starts[image] + target]
        regions = self._regions(model, features)[image, place]
        drawn = self.candidates.draw(labels, self.setting.config.sampled_candidates)
        names = self.candidates.encode(model, self.attributes, drawn.index)
        losses = negative_log_likelihood(regions, names, model.temperature(), drawn.targets)
        return mean_over_all(losses)

    @torch.no_grad()
    def predict(
        self,
        model: UniPerceiver,
        batch: DetectionBatch,
        features: ImageFeatures | None = None,
        threshold: float = 0.0,
    ) -> list[Detection]:
        """The best pairs of a region and a name of every picture, at most `LISTED`, by objectness times P (A19).

        Those with a score below ``threshold`` are left out before their masks are made.
        """
        features = features or model.encode_image(batch.images)
        proposals = features.proposals
        if proposals is None:
            raise ValueError("detection needs region proposals, but the model has image.proposals: null")
        names = self.candidates.encode(model, self.attributes)
        probabilities = log_likelihood(self._regions(model, features), names, model.temperature()).exp()
        objectness = proposals.objectness.double().sigmoid() * self._is_best(proposals)
        scores = objectness[..., None] * probabilities.double()
        best = scores.flatten(1).topk(min(LISTED, scores[0].numel()), dim=1)
        kept = [int(number) for number in ((best.values >= threshold) & (best.values > 0)).sum(dim=1)]
        return [
            self._detection(batch, proposals, image, best.values[image, :n], best.indices[image, :n])
            for image, n in enumerate(kept)
        ]

    def _is_best(self, proposals: KeptProposals) -> Tensor:
        """(B, O) bool: no region of higher objectness overlaps this one more than ``suppress_above``."""
        bound = self.setting.config.suppress_above
        is_best = torch.ones_like(proposals.objectness, dtype=torch.bool)
        for image in range(len(is_best)) if bound is not None else ():
            boxes, scores = cxcywh_to_xyxy(proposals.boxes[image]).float(), proposals.objectness[image].float()
            is_best[image] = False
            is_best[image, nms(boxes, scores, bound)] = True
        return is_best

    def _detection(
        self, batch: DetectionBatch, proposals: KeptProposals, image: int, scores: Tensor, pairs: Tensor
    ) -> Detection:
        """What one picture shows, from its chosen (region, name) pairs (n,), flattened."""
        region, label = pairs // len(self.candidates), pairs % len(self.candidates)
        height, width = batch.original_sizes[image]
        scale = torch.tensor([width, height, width, height], dtype=torch.float64, device=region.device)
        boxes = cxcywh_to_xyxy(proposals.boxes[image, region].double()) * scale
        # A region under several names has one mask.
        different, which = region.unique(return_inverse=True)
        masks, quality = self._masks(batch, proposals, image, different)
        labels = label.cpu().numpy()
        return Detection(
            boxes=boxes.clamp(min=0).minimum(scale).cpu().numpy(),
            scores=scores.cpu().numpy(),
            labels=labels,
            names=tuple(self.candidates.texts[index] for index in labels),
            masks=masks[which].cpu().numpy(),
            mask_scores=quality[which].double().cpu().numpy(),
            objectness=proposals.objectness[image, region].double().sigmoid().cpu().numpy(),
        )

    def _masks(
        self, batch: DetectionBatch, proposals: KeptProposals, image: int, regions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks (n, H, W) bool in the original picture and their scores (n,), for regions (n,) of an image."""
        canvas = (batch.images.pixels.shape[2], batch.images.pixels.shape[3])
        size, original = batch.sizes[image], batch.original_sizes[image]
        if not len(regions):
            nothing = proposals.boxes.new_zeros(0)
            return nothing.bool().reshape(0, *original), nothing
        embeddings, features = proposals.mask_embeddings[image, regions], proposals.mask_features[image]
        largest = max(canvas[0] * canvas[1], original[0] * original[1])
        masks, scores = [], []
        at_once, margin = max(1, MASKS_AT_ONCE // largest), self.setting.config.mask_margin
        for part, boxes in zip(embeddings.split(at_once), proposals.boxes[image, regions].split(at_once), strict=True):
            logits = masks_in_picture(mask_logits(part[None], features[None])[0].float(), canvas, size, original)
            if margin is not None:
                logits = within_boxes(logits, boxes, margin)
            masks.append(logits > 0)
            scores.append(mask_scores(logits))
        return torch.cat(masks), torch.cat(scores)

    def _regions(self, model: UniPerceiver, features: ImageFeatures) -> Tensor:
        """Read-outs (B, O, D) of the regions."""
        return model.decode(features.segment, attributes=self.attributes).segments[0][:, features.regions]


def _targets(record: AnnotatedImage, canvas: tuple[int, int]) -> ObjectTargets:
    """The objects of a picture that is padded to ``canvas`` (H, W), without crowds."""
    is_object = ~record.is_crowd
    _, height, width = record.image.shape
    masks = torch.zeros(int(is_object.sum()), *canvas, dtype=torch.bool)
    masks[:, :height, :width] = record.masks[is_object]
    boxes = record.boxes[is_object] / torch.tensor([width, height, width, height])
    return ObjectTargets(
        boxes=xyxy_to_cxcywh(boxes),
        masks=masks,
        labels=record.labels[is_object],
        image_id=record.image_id,
        has_mask=record.has_mask[is_object],
    )
