"""Learning rate and weight decay of every parameter (Sec. 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from uniperceiver.config import OptimizerConfig
from uniperceiver.model.conditional_moe import gate_modules
from uniperceiver.model.layers.attention_pool import AttentionPools
from uniperceiver.model.layers.frozen_batch_norm import NormedConv2d
from uniperceiver.model.low_rank import LowRankUpdate
from uniperceiver.model.uni_perceiver import UniPerceiver

_MATRICES: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
    (nn.Linear, ("weight",)),
    (nn.Conv1d, ("weight",)),
    (nn.Conv2d, ("weight",)),
    (NormedConv2d, ("weight",)),
    (nn.MultiheadAttention, ("in_proj_weight",)),
    (AttentionPools, ("key", "value", "output")),
    (LowRankUpdate, ("down", "up")),
    (ParametrizationList, ("original",)),
)
"""The parameters that decay: the matrices of linear maps, by the module that holds them."""


def parameter_groups(model: UniPerceiver, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Groups for a PyTorch optimiser: the trainable parameters by part of the model, each with and without decay,
    scalars apart.

    Every group has ``params`` (pairs of name and parameter, so that optimisers can name them in errors), ``lr``,
    ``initial_lr`` (what the schedule multiplies) and ``weight_decay``. Frozen parameters are in no group.

    Paper: "the learning rate of modality-specific encoders is multiplied by 0.1 since they have already been
    pre-trained" (Sec. 5.2). Here these are the backbone and the language model; the proposal network has a scale of its
    own (A22), and so has what turns features into tokens of g's width, which starts from random weights. The paper is
    silent on what decays: only the matrices of linear maps do, which leaves out biases, norms, embeddings, position
    tables, level and type codes, <SPE>, learned queries, gates and the temperature.

    Raises:
        ValueError: one parameter belongs to two modules, so that its group is ambiguous; or nothing can be trained.
    """
    scales = {
        "f_image.backbone.": config.backbone_scale,
        "f_image.proposals.": config.proposals_scale,
        "f_image.": config.projections_scale,
        "f_text.projection.": config.projections_scale,
        "f_text.": config.text_encoder_scale,
        "": config.decoder_scale,
    }
    # Scalars are apart: FSDP2 leaves them whole, and whole and sharded parameters cannot share a group.
    groups: dict[tuple[str, bool, bool], list[tuple[str, nn.Parameter]]] = {}
    names: dict[nn.Parameter, str] = {}
    for name, parameter, decays in _trainable(model):
        if parameter in names:
            raise ValueError(f"{name} and {names[parameter]} are one parameter: it cannot be in two groups")
        names[parameter] = name
        part = next(prefix for prefix in scales if name.startswith(prefix))
        groups.setdefault((part, decays, parameter.ndim == 0), []).append((name, parameter))
    if not groups:
        raise ValueError("every parameter of the model is frozen: there is nothing to optimise")
    return [
        {
            "params": members,
            "lr": config.learning_rate * scales[part],
            "initial_lr": config.learning_rate * scales[part],
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (part, decays, _), members in groups.items()
    ]


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Name, parameter and whether it decays, for all that want gradients."""
    gates = gate_modules(model)
    for prefix, module in model.named_modules():
        matrices = () if module in gates else _MATRICES
        decaying = {name for kind, held in matrices if isinstance(module, kind) for name in held}
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if parameter.requires_grad:
                yield name, parameter, name.rpartition(".")[2] in decaying
