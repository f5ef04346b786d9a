"""Released Mask DINO weights as weights of our `ProposalNetwork` and `Backbone` (spec/mask_dino.md, section 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from uniperceiver.config import ImageEncoderConfig, ProposalConfig
from uniperceiver.convert.key_rules import Rule, check, our_key, rename
from uniperceiver.convert.mask_dino_backbone import backbone_key
from uniperceiver.load_report import KeyMismatchError, LoadReport
from uniperceiver.model.backbone import build_backbone
from uniperceiver.model.layers.group_norm import GROUPS
from uniperceiver.model.proposals.heads import PredictionHeads
from uniperceiver.model.proposals.network import ProposalNetwork
from uniperceiver.model.proposals.query_selection import LEARNED_STD

_PIXEL = r"sem_seg_head\.pixel_decoder\."
_ENCODER_LAYER = _PIXEL + r"transformer\.encoder\.layers\.(\d+)\."
_PREDICTOR = r"sem_seg_head\.predictor\."
_DECODER_LAYER = _PREDICTOR + r"decoder\.layers\.(\d+)\."
_LAST = r"(weight|bias)"

_DEFORMABLE = (
    ("sampling_offsets", "offsets"),
    ("attention_weights", "weights"),
    ("value_proj", "value"),
    ("output_proj", "out"),
)
_FEEDFORWARD = (("linear1", "layers.0"), ("linear2", "layers.1"))


def proposal_rules(levels: int) -> tuple[Rule, ...]:
    """Names in a release with so many encoder levels -> names in `ProposalNetwork`.

    The number of levels matters since the last input projection there is the extra one here.
    """
    encoder = (
        (_PIXEL + rf"input_proj\.{levels - 1}\.([01])\.{_LAST}", r"encoder.extra_projection.\1.\2"),
        (_PIXEL + rf"input_proj\.(\d+)\.([01])\.{_LAST}", r"encoder.projections.\1.\2.\3"),
        (_PIXEL + r"transformer\.level_embed", r"encoder.level_codes"),
        *(
            (_ENCODER_LAYER + rf"self_attn\.{a}\.{_LAST}", rf"encoder.layers.\1.attention.{b}.\2")
            for a, b in _DEFORMABLE
        ),
        *((_ENCODER_LAYER + rf"{a}\.{_LAST}", rf"encoder.layers.\1.feedforward.{b}.\2") for a, b in _FEEDFORWARD),
        (_ENCODER_LAYER + rf"norm1\.{_LAST}", r"encoder.layers.\1.attention_norm.\2"),
        (_ENCODER_LAYER + rf"norm2\.{_LAST}", r"encoder.layers.\1.feedforward_norm.\2"),
        (_PIXEL + r"adapter_1\.weight", r"mask_features.lateral.0.weight"),
        (_PIXEL + rf"adapter_1\.norm\.{_LAST}", r"mask_features.lateral.1.\1"),
        (_PIXEL + r"layer_1\.weight", r"mask_features.smooth.0.weight"),
        (_PIXEL + rf"layer_1\.norm\.{_LAST}", r"mask_features.smooth.1.\1"),
        (_PIXEL + rf"mask_features\.{_LAST}", r"mask_features.out.\1"),
    )
    decoder = (
        *(
            (_DECODER_LAYER + rf"cross_attn\.{a}\.{_LAST}", rf"decoder.layers.\1.cross_attention.{b}.\2")
            for a, b in _DEFORMABLE
        ),
        *((_DECODER_LAYER + rf"{a}\.{_LAST}", rf"decoder.layers.\1.feedforward.{b}.\2") for a, b in _FEEDFORWARD),
        (_DECODER_LAYER + rf"self_attn\.(in_proj_|out_proj\.){_LAST}", r"decoder.layers.\1.self_attention.\2\3"),
        (_DECODER_LAYER + rf"norm1\.{_LAST}", r"decoder.layers.\1.cross_attention_norm.\2"),
        (_DECODER_LAYER + rf"norm2\.{_LAST}", r"decoder.layers.\1.self_attention_norm.\2"),
        (_DECODER_LAYER + rf"norm3\.{_LAST}", r"decoder.layers.\1.feedforward_norm.\2"),
        (_PREDICTOR + rf"decoder\.ref_point_head\.layers\.(\d)\.{_LAST}", r"decoder.position.layers.\1.\2"),
    )
    heads = (
        (_PREDICTOR + rf"(?:decoder_norm|decoder\.norm)\.{_LAST}", r"heads.norm.\1"),
        (_PREDICTOR + rf"class_embed\.{_LAST}", r"heads.objectness.\1"),
        (_PREDICTOR + rf"mask_embed\.layers\.(\d)\.{_LAST}", r"heads.mask.layers.\1.\2"),
        (
            _PREDICTOR + rf"(?:_bbox_embed|(?:decoder\.)?bbox_embed\.\d+)\.layers\.(\d)\.{_LAST}",
            r"heads.box.layers.\1.\2",
        ),
        (_PREDICTOR + rf"enc_output\.{_LAST}", r"selection.project.\1"),
        (_PREDICTOR + rf"enc_output_norm\.{_LAST}", r"selection.norm.\1"),
        (_PREDICTOR + r"label_enc\.weight", r"denoising_labels.weight"),
        (r"criterion\.empty_weight", None),
    )
    return (*encoder, *decoder, *heads)


Part = Literal["sem_seg_head", "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"]
"""A module of a release: the whole head, or one of its halves."""


def load_mask_dino_head(
    network: ProposalNetwork, tensors: Mapping[str, Tensor], part: Part = "sem_seg_head"
) -> LoadReport:
    """Set a proposal network, or one half of it, to the weights of a Mask DINO head of the same shape.

    The pixel decoder is ``network.encoder`` and ``network.mask_features``, the predictor all the rest. Aliases may be
    given or not. The network is changed only if all fits.

    Args:
        network: of the head's shape; Mask DINO has no learned queries and ``mask_fusion: identity``.
        tensors: by their official names relative to ``part``, e.g. ``enc_output.weight`` for the predictor.
        part: the module that the names are relative to.

    Raises:
        KeyMismatchError: names or shapes that do not fit.
    """
    rules = proposal_rules(len(network.encoder.level_codes))
    absolute = {f"{part}.{key}": tensor for key, tensor in tensors.items()}
    weights, report = rename(absolute, partial(our_key, rules=rules))
    expected = {key: tensor for key, tensor in network.state_dict().items() if _part_of(key).startswith(part)}
    report = check(weights, expected, report, f"the Mask DINO {part}")
    # strict would ask for the other half too; this half has been checked name by name
    network.load_state_dict(weights, strict=False)
    return report


def _part_of(key: str) -> Part:
    """The half of a release's head that a parameter of `ProposalNetwork` belongs to."""
    is_pixel_decoder = key.startswith(("encoder.", "mask_features."))
    return "sem_seg_head.pixel_decoder" if is_pixel_decoder else "sem_seg_head.predictor"


_LEVELS = "sem_seg_head.pixel_decoder.transformer.level_embed"


def convert_mask_dino(
    tensors: Mapping[str, Tensor], config: ImageEncoderConfig, fresh_objectness: bool = False
) -> tuple[dict[str, Tensor], LoadReport]:
    """A Mask DINO release as the ``backbone.*`` and ``proposals.*`` part of an image encoder's state dict.

    Without differences in shape this is exact. These differences are bridged (section 10e):

    - fewer decoder layers: the first ones, exactly the shorter model;
    - four levels from five: stride 4 is taken out of every deformable attention. Lossy: the softmax shares of stride 4
      go to the other levels;
    - learned queries: new, drawn as in a new network (A5);
    - ``mask_fusion: conv_gn``: new, started nearer the identity than a random one (A2).

    Args:
        tensors: the ``model`` entry of the released file.
        config: of the encoder. Without loss its ``proposals.classes`` is the release's number of classes, whose maximum
            is objectness (A8a).
        fresh_objectness: leave the release's classifier out and start the objectness layer anew (A8c).

    Raises:
        KeyMismatchError: names or shapes that do not fit.
        ValueError: the configuration has no proposal network.
    """
    if config.proposals is None:
        raise ValueError("Mask DINO weights need a proposal network, but image.proposals is null")
    if _LEVELS not in tensors:
        raise KeyMismatchError("the Mask DINO file", LoadReport(matched=(), missing=(_LEVELS,)))
    with torch.device("meta"):
        backbone = build_backbone(config.backbone)
        network = ProposalNetwork(config.proposals, backbone.channels)
    expected = {f"backbone.{key}": tensor for key, tensor in backbone.state_dict().items()}
    expected |= {f"proposals.{key}": tensor for key, tensor in network.state_dict().items()}
    levels = tensors[_LEVELS].shape[0]
    weights, report = rename(tensors, partial(_image_encoder_key, rules=proposal_rules(levels)))
    if levels == 5 and config.proposals.finest_stride == 8:
        weights, report = _without_stride_4(weights, report, config.proposals)
    weights, report = _without_later_layers(weights, report, config.proposals.decoder_layers)
    if fresh_objectness:
        weights, report = _with_fresh_objectness(weights, report, config.proposals)
    weights |= _new_parameters(weights, config.proposals)
    return weights, check(weights, expected, report, "the Mask DINO file")


def _image_encoder_key(key: str, rules: tuple[Rule, ...]) -> str | None:
    """The name in an image encoder of a name in a release; None where it is dropped."""
    if key.startswith("backbone."):
        ours, part = backbone_key(key.removeprefix("backbone.")), "backbone"
    else:
        ours, part = our_key(key, rules), "proposals"
    return None if ours is None else f"{part}.{ours}"


Adapted = tuple[dict[str, Tensor], LoadReport]


def _without_later_layers(weights: dict[str, Tensor], report: LoadReport, layers: int) -> Adapted:
    """The first decoder layers only."""

    def is_later(key: str) -> bool:
        return key.startswith("proposals.decoder.layers.") and int(key.split(".")[3]) >= layers

    kept = {key: tensor for key, tensor in weights.items() if not is_later(key)}
    later = tuple(theirs for theirs, ours in report.matched if is_later(ours))
    matched = tuple(pair for pair in report.matched if not is_later(pair[1]))
    return kept, replace(report, matched=matched, dropped=report.dropped + later)


def _without_stride_4(weights: dict[str, Tensor], report: LoadReport, config: ProposalConfig) -> Adapted:
    """Four levels from five: stride 4 is the encoder's first level and the decoder memory's last."""
    unused = "proposals.encoder.projections.0."
    first = "proposals.encoder.projections."
    renames = {f"{first}{i}.": f"{first}{i - 1}." for i in range(1, 4)}

    def shifted(key: str) -> str:
        prefix = next((old for old in renames if key.startswith(old)), "")
        return renames[prefix] + key.removeprefix(prefix) if prefix else key

    def sliced(key: str, tensor: Tensor) -> Tensor:
        if key == "proposals.encoder.level_codes":
            return tensor[1:]
        kept = slice(1, None) if key.startswith("proposals.encoder.") else slice(None, -1)
        if "attention.offsets." in key or "attention.weights." in key:
            by_level = tensor.unflatten(0, (config.heads, 5, -1))
            return by_level[:, kept].flatten(0, 2)
        return tensor

    kept = {shifted(key): sliced(key, tensor) for key, tensor in weights.items() if not key.startswith(unused)}
    dropped = tuple(theirs for theirs, ours in report.matched if ours.startswith(unused))
    matched = tuple((theirs, shifted(ours)) for theirs, ours in report.matched if not ours.startswith(unused))
    return kept, replace(report, matched=matched, dropped=report.dropped + dropped)


def _with_fresh_objectness(weights: dict[str, Tensor], report: LoadReport, config: ProposalConfig) -> Adapted:
    """A new objectness layer instead of the release's classifier."""
    prefix = "proposals.heads.objectness."
    fresh = {f"{prefix}{key}": tensor for key, tensor in PredictionHeads(config).objectness.state_dict().items()}
    dropped = tuple(theirs for theirs, ours in report.matched if ours.startswith(prefix))
    matched = tuple(pair for pair in report.matched if not pair[1].startswith(prefix))
    return weights | fresh, replace(report, matched=matched, dropped=report.dropped + dropped)


def _new_parameters(weights: Mapping[str, Tensor], config: ProposalConfig) -> dict[str, Tensor]:
    """The start of what Mask DINO does not have: learned queries, and H of Eq. (8).

    H's input is the output of the encoder's last layer norm. Its group norm undoes itself when its weight and bias are
    the standard deviation and mean of that input in each group. Those are estimated from the layer norm's parameters,
    as if what it normalises were independent noise: rough, but no picture is needed.
    """
    new: dict[str, Tensor] = {}
    if config.learned_queries:
        new["proposals.selection.learned"] = LEARNED_STD * torch.randn(config.queries, config.width)
    last = f"proposals.encoder.layers.{config.encoder_layers - 1}.feedforward_norm"
    if config.mask_fusion == "conv_gn" and f"{last}.weight" in weights:
        scale = weights[f"{last}.weight"].unflatten(0, (GROUPS, -1))
        shift = weights[f"{last}.bias"].unflatten(0, (GROUPS, -1))
        deviation = (scale.square().mean(dim=1) + shift.var(dim=1, correction=0)).sqrt()
        channels = config.width // GROUPS
        new["proposals.mask_features.encoded.0.weight"] = torch.eye(config.width)[:, :, None, None]
        new["proposals.mask_features.encoded.1.weight"] = deviation.repeat_interleave(channels)
        new["proposals.mask_features.encoded.1.bias"] = shift.mean(dim=1).repeat_interleave(channels)
    return new
