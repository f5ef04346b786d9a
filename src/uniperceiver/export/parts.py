"""The parts of a model that are exported: tensors in, tensors out, nothing to choose while they run.

Each holds one side of Eq. (6) with its experts folded (the routing bits of a part are fixed), and looks at pictures of
one size without padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.batches import TextBatch, VideoBatch
from uniperceiver.boxes import cxcywh_to_xyxy
from uniperceiver.likelihood import similarity
from uniperceiver.model.image_encoder import ImageFeatures
from uniperceiver.model.linear_head import LinearHead
from uniperceiver.model.patch_tokens import PatchTokens
from uniperceiver.model.proposals.outputs import mask_logits
from uniperceiver.model.segments import Decoded, Modality, Segment, Side, TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.model.word_embedding import WordEmbedding
from uniperceiver.tasks.candidates import CandidateSet


class FoldedDecoder(nn.Module):
    """g for one stream of tokens: a single segment of one modality on one side."""

    def __init__(self, model: UniPerceiver, attributes: TaskAttributes, side: Side) -> None:
        super().__init__()
        self.attributes, self.side = attributes, side
        modality: Modality = "image" if side == "input" else "text"
        self.g = model.g.fold([attributes.bits(modality, side, False)])
        f_text = model.f_text
        spe = f_text.spe().detach().clone() if isinstance(f_text, WordEmbedding) else None
        self.register_buffer("spe", spe)

    def forward(self, segment: Segment) -> Decoded:
        """The read-outs of <SPE> and of every token."""
        decoded: Decoded = self.g((segment,), self.attributes, self.side, self.get_buffer("spe"))
        return decoded


class PictureReader(nn.Module):
    """f_image and g on pictures that fill their canvas."""

    def __init__(self, model: UniPerceiver, attributes: TaskAttributes) -> None:
        super().__init__()
        self.f_image = model.f_image
        self.g = FoldedDecoder(model, attributes, "input")

    def forward(self, pixels: Tensor) -> tuple[ImageFeatures, Decoded]:
        """Normalised pixels (B, 3, H, W) -> what f_image gives, and its read-outs."""
        if isinstance(self.f_image, PatchTokens):
            features = ImageFeatures(self.f_image.video(VideoBatch(pixels[:, None])), None)
        else:
            features = self.f_image.represent(self.f_image.perceive(pixels))
        return features, self.g(features.segment)


class ImageSide(nn.Module):
    """Pixels (B, 3, H, W) -> ``vectors`` (B, D), unit vectors: `Predictor.embed_image`."""

    def __init__(self, model: UniPerceiver, attributes: TaskAttributes) -> None:
        super().__init__()
        self.reader = PictureReader(model, attributes)

    def forward(self, pixels: Tensor) -> Tensor:
        """One unit vector for each picture."""
        _, decoded = self.reader(pixels)
        return F.normalize(decoded.spe.float(), dim=-1)


class TextSide(nn.Module):
    """``ids`` (B, L) int64 and ``is_padding`` (B, L) bool -> ``vectors`` (B, D): `Predictor.embed_text`."""

    def __init__(self, model: UniPerceiver, attributes: TaskAttributes) -> None:
        super().__init__()
        self.f_text = model.f_text
        self.g = FoldedDecoder(model, attributes, "target")

    def forward(self, ids: Tensor, is_padding: Tensor) -> Tensor:
        """One unit vector for each text, padded at the end."""
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        segment = self.f_text(TextBatch(ids, is_padding, positions, torch.zeros_like(is_padding)))
        return F.normalize(self.g(segment).spe.float(), dim=-1)


class Names(nn.Module):
    """A fixed set of labels, encoded once: Eq. (6) with constant targets and τ."""

    def __init__(self, encoded: Tensor, temperature: Tensor, head: LinearHead | None = None) -> None:
        """``encoded`` (Y, D) are the labels' representations; ``head`` is what prompt tuning has added for them."""
        super().__init__()
        self.head = head
        self.register_buffer("encoded", encoded.detach().clone())
        self.register_buffer("temperature", temperature.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Read-outs (…, D) -> probabilities (…, Y)."""
        similarities = similarity(x, self.get_buffer("encoded"), self.get_buffer("temperature"))
        return (similarities if self.head is None else self.head(x, similarities)).softmax(dim=-1)


class Classifier(nn.Module):
    """Pixels (B, 3, H, W) -> ``probabilities`` (B, Y) of a fixed set of labels: `Predictor.classify`."""

    def __init__(self, model: UniPerceiver, attributes: TaskAttributes, candidates: CandidateSet) -> None:
        super().__init__()
        self.reader = PictureReader(model, attributes)
        encoded, head = candidates.encode(model, attributes), model.head_for(candidates.texts)
        self.names = Names(encoded, model.temperature("img_cls"), head)

    def forward(self, pixels: Tensor) -> Tensor:
        """They add up to one for each picture."""
        _, decoded = self.reader(pixels)
        probabilities: Tensor = self.names(decoded.spe)
        return probabilities


class Detector(nn.Module):
    """Pixels (B, 3, H, W) -> regions with the probabilities of a fixed set of labels: `Predictor.detect`."""

    def __init__(self, model: UniPerceiver, attributes: TaskAttributes, candidates: CandidateSet) -> None:
        super().__init__()
        if model.region_encoder.proposals is None:
            raise ValueError("detection needs region proposals, but the model has image.proposals: null")
        self.reader = PictureReader(model, attributes)
        self.names = Names(candidates.encode(model, attributes), model.temperature())

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The O regions of each picture, best first.

        Returns:
            boxes (B, O, 4), (x0, y0, x1, y1) relative to the picture, in [0, 1]; scores (B, O, Y), objectness times
            probability; mask logits (B, O, H/4, W/4).
        """
        features, decoded = self.reader(pixels)
        kept = features.proposals
        assert kept is not None
        probabilities = self.names(decoded.segments[0][:, features.regions])
        scores = kept.objectness.float().sigmoid()[..., None] * probabilities
        return cxcywh_to_xyxy(kept.boxes).clamp(0, 1), scores, mask_logits(kept.mask_embeddings, kept.mask_features)
