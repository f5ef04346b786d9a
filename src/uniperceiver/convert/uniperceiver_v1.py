"""Checkpoints of Uni-Perceiver v1 and Uni-Perceiver-MoE as weights of our model (spec/uni_perceiver_v1_moe.md, 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from uniperceiver.config import LinearHeadConfig, ModelConfig, PatchEncoderConfig, TemperatureGroup
from uniperceiver.convert.key_rules import check
from uniperceiver.convert.uniperceiver_v1_configuration import configuration, lacking_shapes
from uniperceiver.convert.uniperceiver_v1_file import ReleaseFile
from uniperceiver.convert.uniperceiver_v1_keys import TYPE, to_official, to_ours
from uniperceiver.load_report import KeyMismatchError, LoadReport
from uniperceiver.model.patch_tokens import sine_cosine_grid
from uniperceiver.model.segments import task_streams
from uniperceiver.model.uni_perceiver import UniPerceiver

TypeEmbedding = Literal["auto", "merge", "keep"]
"""``merge``: add the type of pictures to the patch map's bias; ``keep``: leave the bias; ``auto``: merge it in files of
the earlier code base, since the official conversion does, and keep it in files of the current one."""
Positions = Literal["sine", "interpolate"]
"""Places of a new picture size: computed, as the official configurations do, or interpolated from the file's."""
InputNorm = Literal["auto", "shared", "per_modality"]
"""Of the two copies of the embeddings' norm, ``shared``: one for pictures and texts, video_embed's, which the official
loader reads last; ``per_modality``: one each; ``auto``: one each where they differ in a file without temperatures:
officially models that do not share it are those that learn none."""
UNLEARNT_TEMPERATURE = 0.03
"""Of models whose files have no temperatures because they did not learn any (LEARN_TEMP False): of the official
configurations only the fine-tuning for visual question answering, which sets this as PRED_TEMPERATURE."""


@dataclass(frozen=True)
class V1Options:
    """What a conversion may change."""

    type_embedding: TypeEmbedding = "auto"
    image_size: int | None = None
    """Another picture size than the file's, in pixels."""
    frames: int | None = None
    """Another longest video than the file's; places in time are interpolated."""
    positions: Positions = "sine"
    input_norm: InputNorm = "auto"
    heads: int | None = None
    """Attention heads; None: D/64, as in every official configuration."""
    fold: bool = False
    """Merge the experts for every stream that a task can have; see `folded`."""
    classes: tuple[str, ...] = ()
    """Of the linear head of a file tuned with prompts, in its order; without them the head is kept aside."""


@dataclass(frozen=True)
class Conversion:
    """A v1 release as one of our models."""

    model: UniPerceiver
    """In evaluation mode."""
    report: LoadReport
    """Names there are those in the file."""
    names: Mapping[str, str]
    """Name in the file → name in the official current code; what repeats another tensor is left out."""
    notes: tuple[str, ...]
    """What the file is, and what was decided about it, one sentence each."""
    unused: Mapping[str, Tensor]
    """Official tensors that do not take part in the computation, kept so that the way back gives the same file."""


def convert_uniperceiver_v1(release: ReleaseFile, options: V1Options | None = None) -> Conversion:
    """The model of a release, whole or folded.

    Raises:
        KeyMismatchError: names or shapes that do not fit together.
        ValueError: options that the file does not allow, e.g. folding a dense model, or classes in another number;
            shapes or experts that no configuration has.
    """
    options = options or V1Options()
    _check_classes(release, options.classes)
    differ = _norms_differ(release.tensors)
    learnt_none = not any("logit_scale_" in name for name in release.tensors)
    has_two = options.input_norm == "per_modality" or (options.input_norm == "auto" and differ and learnt_none)
    weights, report = to_ours(release.tensors, bool(options.classes), has_two)
    unused = {name: release.tensors[name] for name in report.dropped}
    report = _as_in_the_file(report, release)
    lacking = lacking_shapes(weights)
    if lacking:
        raise KeyMismatchError("the Uni-Perceiver v1 file", replace(report, missing=lacking))
    notes = [_what(release, weights)]
    weights = dict(weights)
    made = _fill_temperatures(weights, notes)
    config = configuration(weights, options.heads)
    if options.classes:
        config = replace(config, heads=(LinearHeadConfig(options.classes),))
        made += _fill_similarity_weight(weights)
    if options.fold and config.decoder.moe is None:
        raise ValueError(
            "only Uni-Perceiver-MoE has experts to fold, and this file is a dense model: leave out folding"
        )
    if differ:
        report = _with_norms_told(report, has_two, notes)
    _merge_type(weights, release, options.type_embedding, notes)
    config = _resize(weights, config, options, notes)
    with torch.device("meta"):
        model = UniPerceiver(config)
    report = replace(check(weights, model.state_dict(), report, "the Uni-Perceiver v1 file"), made=made)
    model.load_state_dict(weights, assign=True)
    model.requires_grad_(True)
    model.eval()
    if options.fold:
        model = folded(model)
        assert model.config.decoder.moe is not None
        streams = ", ".join(model.config.decoder.moe.folded)
        notes.append(f"experts folded for the streams of every task ({streams}); gates and experts are gone")
    names = {theirs: current for current, theirs in release.names.items()}
    return Conversion(model, report, names, tuple(notes), unused)


def to_uniperceiver_v1(model: UniPerceiver, unused: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back: a v1 model's state dict under the names of the official current code.

    ``unused`` is `Conversion.unused`; without it the file lacks tensors that the official code has but never uses.
    ValueError for a folded model and for one of another family.
    """
    if model.config.decoder.moe is not None and model.config.decoder.moe.folded:
        raise ValueError("a folded model has no experts to give back: convert the original file without folding")
    weights = model.state_dict()
    names = to_official(weights, packed_attention=model.config.decoder.moe is None)
    return {theirs: _official_shape(theirs, weights[ours]) for theirs, ours in names.items()} | dict(unused)


def folded(model: UniPerceiver) -> UniPerceiver:
    """A model for deployment: experts merged for all `task_streams`, its configuration saying so.

    These are the six of v1-MoE's table (section 6) and two that it lacks, for tasks that the official code does not do
    with experts: texts read at once beside a picture (questions about it), and texts alone word by word.
    """
    config = model.config
    assert config.decoder.moe is not None
    streams = task_streams(config.decoder.moe.targets_have_image_bit)
    moe = replace(config.decoder.moe, folded=tuple("".join(map(str, bits)) for bits in streams))
    with torch.device("meta"):
        lean = UniPerceiver(replace(config, decoder=replace(config.decoder, moe=moe)))
    merged = {f"g.{name}": tensor for name, tensor in model.g.fold(streams).state_dict().items()}
    rest = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("g.")}
    lean.load_state_dict(rest | merged, assign=True)
    return lean.eval()


def _check_classes(release: ReleaseFile, classes: tuple[str, ...]) -> None:
    head = release.tensors.get("fc_prompt.weight")
    if not classes:
        return
    if head is None:
        raise ValueError(
            f"{len(classes)} classes were given, but the file has no linear head (fc_prompt): only prompt tuning with "
            "one needs them; leave them out"
        )
    if len(head) != len(classes):
        raise ValueError(
            f"the file's linear head (fc_prompt) has {len(head)} classes, but {len(classes)} were given: give the list "
            "that it was trained with, in its order"
        )


def _what(release: ReleaseFile, weights: Mapping[str, Tensor]) -> str:
    experts = any(".experts." in name for name in weights)
    packed = any("in_proj_weight" in name for name in release.tensors)
    base = "earlier DeepSpeed code base (ds)" if release.is_raw else "current code base (torch, or a converted ds)"
    attention = "" if release.is_raw else f", attention {'packed' if packed else 'as in MoE models'}"
    scale = "" if "g.layers.0.gamma_1" in weights else ", without layer scale"
    kind = f"{'Uni-Perceiver-MoE' if experts else f'dense{attention}'}{scale}"
    beside = f"; beside the weights, not used: {', '.join(release.beside)}" if release.beside else ""
    return f"{kind}, names of the {base}, {release.container} file{beside}"


def _as_in_the_file(report: LoadReport, release: ReleaseFile) -> LoadReport:
    """A report on `ReleaseFile.tensors` with the names of the file, also those that were dropped on reading."""
    names = release.names
    return replace(
        report,
        matched=tuple((names[theirs], ours) for theirs, ours in report.matched),
        dropped=(*(names[name] for name in report.dropped), *release.dropped),
        surplus=tuple(names[name] for name in report.surplus),
        disagreeing=tuple((names[a], names[b]) for a, b in report.disagreeing),
    )


def _fill_temperatures(weights: dict[str, Tensor], notes: list[str]) -> tuple[str, ...]:
    """The constant temperature of a model that learnt none, for all groups of tasks; the names added."""
    if any(name.startswith("log_inverse_temperatures.") for name in weights):
        return ()
    made = {
        f"log_inverse_temperatures.{group}": torch.tensor(-math.log(UNLEARNT_TEMPERATURE))
        for group in get_args(TemperatureGroup)
    }
    weights |= made
    notes.append(
        f"no temperatures (logit_scale_*) in the file: {UNLEARNT_TEMPERATURE} for all tasks, as in the official "
        "configuration for visual question answering, which learns none"
    )
    return tuple(made)


def _fill_similarity_weight(weights: dict[str, Tensor]) -> tuple[str, ...]:
    """Beside a head that was tuned alone (FC_PROMPT_WEIGHTS 'zero') similarities count nothing; the names added."""
    name = "heads.0.similarity_weight"
    if name in weights:
        return ()
    weights[name] = torch.zeros(())
    return (name,)


def _norms_differ(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file has the embeddings' norm twice, with different numbers."""
    pairs = [
        [tensors.get(f"{embed}.embeddings_norm.{part}") for embed in ("video_embed", "token_embed")]
        for part in ("weight", "bias")
    ]
    return any(a is not None and b is not None and not torch.equal(a, b) for a, b in pairs)


def _with_norms_told(report: LoadReport, has_two: bool, notes: list[str]) -> LoadReport:
    """Copies of the embeddings' norm that differ are no mistake, but worth a note."""
    decided = (
        "pictures and texts have one each, as in models trained with SHARE_LAYERNORM False, officially those for visual"
        " question answering; --input-norm shared takes video_embed's for both, as the loader of other models does"
        if has_two
        else "video_embed's is used for texts too, as by the official loader of models that share it; --input-norm "
        "per_modality keeps both"
    )
    notes.append(f"the two copies of the embeddings' norm differ: {decided}")
    return replace(report, disagreeing=tuple(pair for pair in report.disagreeing if "embeddings_norm" not in pair[0]))


def _merge_type(weights: dict[str, Tensor], release: ReleaseFile, choice: TypeEmbedding, notes: list[str]) -> None:
    """Add the type of pictures to the bias of the patch map, which is exact: both come before the same norm."""
    vector = release.tensors.get(TYPE)
    if vector is None:
        if choice == "merge":
            raise ValueError(f"the file has no {TYPE} to merge: convert it without merging")
        return
    bias = weights["f_image.patches.bias"]
    if vector.shape != (1, len(bias)):
        raise ValueError(f"{TYPE} in the file has the shape {tuple(vector.shape)}: expected (1, {len(bias)})")
    is_merged = choice == "merge" or (choice == "auto" and release.is_raw)
    if is_merged:
        weights["f_image.patches.bias"] = bias + vector[0]
    state = "was now added to" if is_merged else "was taken to be already in"
    notes.append(
        f"the type of pictures ({TYPE}, length {float(vector.norm()):.3g}) {state} the patch map's bias; the file does"
        " not say whether it was, so if pictures are recognised badly, convert with the other choice"
    )


def _resize(weights: dict[str, Tensor], config: ModelConfig, options: V1Options, notes: list[str]) -> ModelConfig:
    """Places for another picture size or number of frames."""
    image = config.image
    assert isinstance(image, PatchEncoderConfig)
    if options.frames is not None and options.frames < 1:
        raise ValueError(f"{options.frames} frames: give at least 1")
    if options.image_size is not None and (options.image_size < 1 or options.image_size % image.patch):
        raise ValueError(f"pictures of {options.image_size} pixels: give a multiple of the patches' {image.patch}")
    if options.frames is not None and options.frames != image.frames:
        key = "f_image.temporal_positions.weight"
        weights[key] = F.interpolate(weights[key].T[None], options.frames, mode="linear")[0].T.contiguous()
        notes.append(f"places in time interpolated from {image.frames} to {options.frames}")
        image = replace(image, frames=options.frames)
    if options.image_size is not None and options.image_size != image.image_size:
        size = options.image_size
        how = "interpolated from those" if options.positions == "interpolate" else "computed anew instead of those"
        notes.append(f"places of {size}-pixel pictures {how} of {image.image_size} pixels")
        new = replace(image, image_size=size)
        weights["f_image.spatial_positions"] = _places(weights["f_image.spatial_positions"], new, options.positions)
        image = new
    return replace(config, image=image)


def _places(table: Tensor, image: PatchEncoderConfig, how: Positions) -> Tensor:
    side = image.image_size // image.patch
    if how == "sine":
        return sine_cosine_grid(side, table.shape[1], image.position_size / image.image_size)
    old = math.isqrt(len(table))
    grid = table.T.unflatten(1, (old, old))[None]
    return F.interpolate(grid, (side, side), mode="bilinear", align_corners=False)[0].flatten(1).T.contiguous()


def _official_shape(name: str, tensor: Tensor) -> Tensor:
    """v1 writes the bias of <SPE> as (1, D)."""
    return tensor[None] if name.endswith("s_token_bias") else tensor
