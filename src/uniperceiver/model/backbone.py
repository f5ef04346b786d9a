"""The image backbone: any timm network that gives maps of stride 4, 8, 16 and 32 (Sec. 4.1, App. A)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn

from uniperceiver.config import BackboneConfig
from uniperceiver.model.layers.frozen_batch_norm import fold_frozen_norms
from uniperceiver.model.layers.shifted_window import ShiftedWindowBlock, pad_before_shift

STRIDES = (4, 8, 16, 32)
"""Strides of the maps F_0 … F_3 (App. A)."""


class Backbone(nn.Module):
    """A timm `features_only` network as the paper's {F_l}: four NCHW maps, batch norms frozen.

    Statistics and affine parameters of batch norms are constants, as in Mask DINO (spec/mask_dino.md, section 3). Swin
    maps each get a LayerNorm of their own before they are handed out, as there; the next stage takes the map without.

    Args:
        network: what `feature_network` gives.
        frozen_stages: when above 0, everything up to the map of stride 4, 8, 16 or 32 (1, 2, 3, 4) gets no gradient.

    Raises:
        ValueError: the network lacks one of the strides, or its stages cannot be told apart.
    """

    def __init__(self, network: nn.Module, frozen_stages: int = 0) -> None:
        super().__init__()
        info: Any = network.feature_info
        reductions = info.reduction()
        missing = [stride for stride in STRIDES if stride not in reductions]
        if missing:
            raise ValueError(
                f"the backbone has no feature map of stride {', '.join(map(str, missing))}: it gives {reductions}; "
                f"choose a timm network with all of {STRIDES}"
            )
        self.levels = [max(i for i, r in enumerate(reductions) if r == stride) for stride in STRIDES]
        self.channels: tuple[int, ...] = tuple(info.channels()[level] for level in self.levels)
        self.is_channels_last = str(getattr(network, "output_fmt", "NCHW")).endswith("NHWC")
        self.network = freeze_batch_norm_2d(network)
        fold_frozen_norms(self.network)
        pad_before_shift(self.network)
        is_swin = any(isinstance(module, ShiftedWindowBlock) for module in self.network.modules())
        self.norms = nn.ModuleList(nn.LayerNorm(c) if is_swin else nn.Identity() for c in self.channels)
        if frozen_stages:
            _freeze_through(self.network, info.module_name()[self.levels[frozen_stages - 1]])

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps (B, c_l, ⌈H/s⌉, ⌈W/s⌉) of stride s = 4, 8, 16, 32.

        Sizes that are no multiple of 4 are zero-padded at the bottom and at the right, as the official Swin does; some
        networks round the coarser maps down instead of up. Any size works for networks without a fixed input size.
        """
        height, width = pixels.shape[-2:]
        pixels = F.pad(pixels, (0, -width % STRIDES[0], 0, -height % STRIDES[0]))
        maps = self.network(pixels.contiguous(memory_format=torch.channels_last))
        maps = [maps[level] for level in self.levels]
        if not self.is_channels_last:
            return maps
        return [norm(x).permute(0, 3, 1, 2).contiguous() for norm, x in zip(self.norms, maps, strict=True)]


def _freeze_through(network: nn.Module, last: str) -> None:
    """No gradient for any parameter registered up to the module called ``last``.

    timm registers modules in the order in which they run, and writes ``layers.0`` as ``layers_0`` in some networks.
    """
    parameters = list(network.named_parameters())
    prefixes = (f"{last}.", f"{last.replace('.', '_')}.")
    ends = [index for index, (name, _) in enumerate(parameters) if name.startswith(prefixes)]
    if not ends:
        raise ValueError(
            f"backbone.frozen_stages: cannot tell which parameters of the network belong to {last!r}; set it to 0"
        )
    for _, parameter in parameters[: ends[-1] + 1]:
        parameter.requires_grad_(False)


def feature_network(name: str) -> nn.Module:
    """timm's feature network called ``name``, random weights.

    Paper: silent on stochastic depth in the backbone; timm's default of each network stays.

    Raises:
        ValueError: timm has no such network, or it gives no feature maps; names the nearest ones.
    """
    if not timm.is_model(name.split(".")[0]):
        raise ValueError(f"timm has no network {name!r}{_suggestion(name, timm.list_models())}")
    # Swin takes any picture size, and shifts in every stage, as the official detection backbone does
    any_size: dict[str, Any] = {"strict_img_size": False, "always_partition": True} if name.startswith("swin_") else {}
    try:
        return timm.create_model(name, features_only=True, **any_size)
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise ValueError(f"timm's {name!r} cannot serve as a backbone: {error}") from error


def build_backbone(config: BackboneConfig) -> Backbone:
    """The backbone a configuration names, random weights; `uniperceiver.convert.timm_backbone` loads trained ones."""
    return Backbone(feature_network(config.name), config.frozen_stages)


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.split(".")[0], known, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "; timm.list_models() gives all names"
