"""Parts of a model from weights that exist already, recognised by their names (``--init-from``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor

from uniperceiver.config import ImageEncoderConfig, load_config
from uniperceiver.convert.bert import load_text_encoder_weights
from uniperceiver.convert.mask_dino import convert_mask_dino
from uniperceiver.convert.resnet50_pretraining import clip_weights, moco_weights
from uniperceiver.convert.timm_backbone import copy_timm_weights
from uniperceiver.load_report import KeyMismatchError, LoadReport, compare
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.uni_perceiver import UniPerceiver, part_of
from uniperceiver.pretrained import read_weights
from uniperceiver.tensor_files import save_tensors

_OWN = ("f_image.", "f_text.", "g.", "log_inverse_temperature")
_PLACES = "f_image.spatial_positions"
_BERT = ("embeddings.", "bert.", "roberta.")


def initialise(model: UniPerceiver, source: str) -> LoadReport:
    """Set the part of a model that a source has weights for; everything else stays as it is.

    ======================================  ===================================================================
    a Mask DINO release                     backbone and proposal network, bridged to the model's shape
    BERT or RoBERTa in Hugging Face layout  the language model
    a timm network's state dict             the backbone
    MoCo v2, ResNet-50                      a ``resnet50`` backbone
    CLIP, ResNet-50                         a ``resnet50_clip`` backbone
    this project's names                    what the file has
    ======================================  ===================================================================

    Args:
        model: is changed in place, and only if all fits.
        source: of `uniperceiver.pretrained`: a file, a folder, a hub repository, an installed package.

    Returns:
        What became of every tensor, under the model's names; ``missing`` is what the source had nothing for, within the
        parts that it sets.

    Raises:
        PretrainedFileError: a file cannot be found.
        KeyMismatchError: tensors that do not fit the model.
        ValueError: the model has no such part, or nobody knows these names; or the file holds more than tensors.
    """
    tensors = read_weights(source)
    for is_kind, load in _KINDS:
        if any(is_kind(key) for key in tensors):
            return load(model, tensors, source)
    return _timm(model, tensors, source)


def _own(model: UniPerceiver, tensors: Mapping[str, Tensor], source: str) -> LoadReport:
    """Places of patches of another picture size are left out: they are computed, not learned (v1's second stage)."""
    own = model.state_dict()
    is_resized = _PLACES in tensors and _PLACES in own and tensors[_PLACES].shape != own[_PLACES].shape
    dropped = (_PLACES,) if is_resized else ()
    taken = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    report = replace(compare(taken, own), dropped=dropped)
    if report.surplus or report.misshaped:
        raise KeyMismatchError(source, replace(report, missing=()))
    model.load_state_dict(taken, strict=False)  # a part is enough; its names have been checked
    return report


def _mask_dino(model: UniPerceiver, tensors: Mapping[str, Tensor], source: str) -> LoadReport:
    encoder, config = _image_encoder(model, source)
    classes = tensors["sem_seg_head.predictor.class_embed.weight"].shape[0]
    is_fresh = config.proposals is not None and config.proposals.classes != classes
    weights, report = convert_mask_dino(tensors, config, fresh_objectness=is_fresh)
    encoder.load_state_dict(weights, strict=False)  # the global and region tokens are none of Mask DINO's
    given = {ours for _, ours in report.matched}
    made = tuple(f"f_image.{name}" for name in weights if name not in given)
    return replace(_within(report, "f_image"), made=made)


def _bert(model: UniPerceiver, tensors: Mapping[str, Tensor], source: str) -> LoadReport:
    if not isinstance(model.f_text, TextEncoder):
        raise ValueError(f"{source} is a language model, but this model's f_text looks words up (text.kind words)")
    return _within(load_text_encoder_weights(model.f_text, source), "f_text")


def _moco(model: UniPerceiver, tensors: Mapping[str, Tensor], source: str) -> LoadReport:
    return _resnet50(model, *moco_weights(tensors), source, "resnet50")


def _clip(model: UniPerceiver, tensors: Mapping[str, Tensor], source: str) -> LoadReport:
    return _resnet50(model, *clip_weights(tensors), source, "resnet50_clip")


def _resnet50(
    model: UniPerceiver, weights: dict[str, Tensor], report: LoadReport, source: str, network: str
) -> LoadReport:
    encoder, config = _image_encoder(model, source)
    if config.backbone.name.split(".")[0] != network:
        raise ValueError(f"{source} is for image.backbone.name {network}, but it is {config.backbone.name}")
    if report.surplus or report.disagreeing:
        raise KeyMismatchError(source, report)
    loaded = copy_timm_weights(encoder.backbone, config.backbone.name, weights)
    sources = {ours: theirs for theirs, ours in report.matched}
    matched = tuple((sources[name], ours) for name, ours in loaded.matched)
    dropped = (*report.dropped, *(sources[name] for name in loaded.dropped))
    return _within(LoadReport(matched, dropped=dropped), "f_image.backbone.network")


def _timm(model: UniPerceiver, tensors: Mapping[str, Tensor], source: str) -> LoadReport:
    encoder, config = _image_encoder(model, source)
    try:
        report = copy_timm_weights(encoder.backbone, config.backbone.name, tensors)
    except ValueError as error:
        raise ValueError(
            f"{source} is none of Mask DINO, BERT, RoBERTa, MoCo v2, CLIP ResNet-50 and this project's own, and as "
            f"weights of the timm network {config.backbone.name} it does not fit: {error}"
        ) from error
    return _within(report, "f_image.backbone.network")


def _image_encoder(model: UniPerceiver, source: str) -> tuple[ImageEncoder, ImageEncoderConfig]:
    if not isinstance(model.f_image, ImageEncoder):
        raise ValueError(
            f"{source} has a backbone's weights, but this model's f_image cuts patches (image.kind patches)"
        )
    return model.f_image, model.f_image.config


def _within(report: LoadReport, part: str) -> LoadReport:
    """A report on a part of the model, under the names of the whole."""
    return replace(report, matched=tuple((theirs, f"{part}.{ours}") for theirs, ours in report.matched))


_Load = Callable[[UniPerceiver, Mapping[str, Tensor], str], LoadReport]
_KINDS: tuple[tuple[Callable[[str], bool], _Load], ...] = (
    (lambda key: key.startswith(_OWN), _own),
    (lambda key: key.startswith("sem_seg_head."), _mask_dino),
    (lambda key: key.startswith("module.encoder_q."), _moco),
    (lambda key: key.startswith(("visual.layer1.", "visual.attnpool.")), _clip),
    (lambda key: key.startswith(_BERT), _bert),
)
"""How a kind is told from the names in a file; one name is enough. A timm network is what is left."""


def convert_weights(source: str, preset: str, out: Path) -> tuple[LoadReport, dict[str, tuple[int, int]]]:
    """Write what `initialise` takes from a source under this project's names into ``out``, and a report beside it.

    Args:
        source: see `initialise`.
        preset: name or YAML of the model that the weights are for.
        out: a folder, which ``--init-from`` takes; it gets ``model.safetensors`` and ``report.json``.

    Returns:
        The report, and the `coverage` of the model.

    Raises:
        As `initialise`.
    """
    model = UniPerceiver(load_config(preset))
    report = initialise(model, source)
    out.mkdir(parents=True, exist_ok=True)
    save_tensors(converted(model, report), out / "model.safetensors")
    content = {"source": source, "model": preset, **asdict(report)}
    (out / "report.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return report, coverage(model, report)


def coverage(model: UniPerceiver, report: LoadReport) -> dict[str, tuple[int, int]]:
    """Part of the model → its parameters, and how many of them came from the file; parts with none are left out."""
    given = {ours for _, ours in report.matched}
    counts: dict[str, tuple[int, int]] = {}
    for name, tensor in model.named_parameters():
        part = part_of(name)
        every, loaded = counts.get(part, (0, 0))
        counts[part] = every + tensor.numel(), loaded + tensor.numel() * (name in given)
    return {part: count for part, count in counts.items() if count[1]}


def converted(model: UniPerceiver, report: LoadReport) -> dict[str, Tensor]:
    """The tensors of a model that came from the file, and what a converter made anew beside them."""
    state = model.state_dict()
    names = dict.fromkeys([*(ours for _, ours in report.matched), *report.made])
    return {name: state[name].clone() for name in names}
