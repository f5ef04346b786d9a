"""Names of Uni-Perceiver v1 and ours, one table for both directions (spec/uni_perceiver_v1_moe.md, 9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from torch import Tensor

from uniperceiver.convert.key_rules import Rule, our_key, rename
from uniperceiver.load_report import LoadReport

_PLACES = {"{n}": r"(\d+)", "{e}": r"(\d+)", "{p}": r"(weight|bias)", "{g}": r"([a-z_]+)"}
"""Layer, expert, weight or bias, group of tasks."""
_LAYER = "fused_encoder.layers.{n}."
TYPE = "video_embed.embeddings_type.weight"
_MAPS = (
    ("self_attn.qkv_proj", "attention.first"),
    ("self_attn.dense", "attention.second"),
    ("linear1", "feed_forward.first"),
    ("linear2", "feed_forward.second"),
)
_GATE = (("tag_transform.0.{p}", "embed.{p}"), ("tag_transform.1.{p}", "norm.{p}"), ("wg.weight", "wg.weight"))
PACKED_ATTENTION = (
    (_LAYER + "self_attn.in_proj_{p}", "g.layers.{n}.attention.first.{p}"),
    (_LAYER + "self_attn.out_proj.{p}", "g.layers.{n}.attention.second.{p}"),
)
"""How dense models spell the attention, with ``nn.MultiheadAttention``; the other spelling is in `NAMES`."""
TWO_NORMS = (
    ("video_embed.embeddings_norm.{p}", "g.image_norm.{p}"),
    ("token_embed.embeddings_norm.{p}", "g.text_norm.{p}"),
)
"""The norms of the embeddings in models that have two; in `NAMES` they are one."""
NAMES = (
    ("video_embed.embeddings.{p}", "f_image.patches.{p}"),
    ("video_embed.embeddings_st_pos.spatial_pos_embed.weight", "f_image.spatial_positions"),
    ("video_embed.embeddings_st_pos.temporal_pos_embed.weight", "f_image.temporal_positions.weight"),
    ("token_embed.embeddings.weight", "f_text.words.weight"),
    ("token_embed.embeddings_pos.position_embeddings.weight", "f_text.positions.weight"),
    ("token_embed.embeddings_token_type.weight", "f_text.token_types.weight"),
    ("video_embed.embeddings_norm.{p}", "g.norm.{p}"),
    ("token_embed.embeddings_norm.{p}", "g.norm.{p}"),
    ("s_token_bias", "f_text.spe_bias"),
    ("token_embed.s_token_bias", "f_text.spe_bias"),
    ("fc_prompt.{p}", "heads.0.{p}"),
    ("similarity_weight", "heads.0.similarity_weight"),
    (_LAYER + "deep_prompt_embedding.embedding.weight", "g.layers.{n}.prompts.inputs"),
    (_LAYER + "deep_prompt_embedding.target_embedding.weight", "g.layers.{n}.prompts.targets"),
    ("loss_prepare.logit_scale_{g}", "log_inverse_temperatures.{g}"),
    ("loss_prepare.ln_post.{p}", "g.ln_post.{p}"),
    ("loss_prepare.proj.{p}", "g.proj.{p}"),
    *((_LAYER + f"{name}.{{p}}", f"g.layers.{{n}}.{name}.{{p}}") for name in ("norm1", "norm2")),
    *((_LAYER + name, f"g.layers.{{n}}.{name}") for name in ("gamma_1", "gamma_2")),
    *((_LAYER + f"{theirs}.{{p}}", f"g.layers.{{n}}.{ours}.{{p}}") for theirs, ours in _MAPS),
    *(
        (_LAYER + f"{theirs}.experts.deepspeed_experts.{{e}}.{{p}}", f"g.layers.{{n}}.{ours}.experts.{{e}}.{{p}}")
        for theirs, ours in _MAPS
    ),
    *((_LAYER + f"self_attn.qkv_proj.gate.{a}", f"g.layers.{{n}}.attention.gate.{b}") for a, b in _GATE),
    *((_LAYER + f"linear1.gate.{a}", f"g.layers.{{n}}.feed_forward.gate.{b}") for a, b in _GATE),
)
"""Name in the official current code, name here."""
HEAD = {
    "fc_prompt.{p}": "the linear head of prompt tuning, whose classes were not given",
    "similarity_weight": "the weight of the similarities beside that linear head",
}
"""The linear head, which needs its classes: files do not name them. And what is said where they are not given."""
UNUSED = {
    _LAYER + "self_attn.dense.gate.": "the gate of an output map, which follows the decision of qkv",
    _LAYER + "linear2.gate.": "the gate of a second map, which follows the decision of the first",
    TYPE: "the type of pictures, which belongs into the bias of the patch map",
}
"""What is in the checkpoints but not in the computation, and what it is."""


def to_ours(
    tensors: Mapping[str, Tensor], has_classes: bool = False, has_two_norms: bool = False
) -> tuple[dict[str, Tensor], LoadReport]:
    """Official tensors under our names, in either spelling of the attention; `UNUSED` ones are dropped.

    ``has_classes``: those of the linear head are known; without them it is dropped, too. ``has_two_norms``: pictures
    and texts keep a norm each. Else they share one; of two copies that differ, the pictures' is taken, as by the
    official loader.
    """
    later = "token_embed.embeddings_norm."
    ordered = dict(sorted(tensors.items(), key=lambda item: item[0].startswith(later)))
    unused: list[Rule] = [(_pattern(name) + ".*", None) for name in (UNUSED if has_classes else UNUSED | HEAD)]
    pairs = (*(TWO_NORMS if has_two_norms else ()), *PACKED_ATTENTION, *NAMES)
    rules = [*unused, *((_pattern(theirs), _target(ours)) for theirs, ours in pairs)]
    return rename(ordered, partial(our_key, rules=rules))


def to_official(names: Iterable[str], packed_attention: bool) -> dict[str, str]:
    """Official name -> our name, for all of our names; a tensor with two official names appears under both.

    Raises:
        ValueError: a name that v1 does not have.
    """
    pairs = (*TWO_NORMS, *(PACKED_ATTENTION if packed_attention else ()), *NAMES)
    rules = [(re.compile(_pattern(ours)), _target(theirs)) for theirs, ours in pairs]
    found: dict[str, str] = {}
    for name in names:
        matches = [(match, target) for rule, target in rules if (match := rule.fullmatch(name))]
        if not matches:
            raise ValueError(f"{name} has no counterpart in Uni-Perceiver v1: only v1 models with experts or dense")
        is_shared = name.startswith("g.norm.") or name == "f_text.spe_bias"
        for match, target in matches if is_shared else matches[:1]:
            found[match.expand(target)] = name
    return found


def why_unused(name: str) -> str:
    """What an official name that is not used stands for."""
    return next(why for unused, why in (UNUSED | HEAD).items() if re.match(_pattern(unused), name))


def _pattern(template: str) -> str:
    pattern = re.escape(template)
    for place, expression in _PLACES.items():
        pattern = pattern.replace(re.escape(place), expression)
    return pattern


def _target(template: str) -> str:
    """``a.{n}.b.{p}`` as ``a.\\1.b.\\2``: both names of a pair have the same places in the same order."""
    numbers = iter(range(1, 10))
    return re.sub(r"\{[a-z]\}", lambda _: rf"\{next(numbers)}", template)
