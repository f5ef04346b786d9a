"""Activation checkpointing ("gradient checkpointing"): less memory for a second forward pass of every layer."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from uniperceiver.model import decoder_layer
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.layers.shifted_window import ShiftedWindowBlock
from uniperceiver.model.proposals import decoder, encoder
from uniperceiver.model.text_encoder import PostNormLayer
from uniperceiver.model.uni_perceiver import UniPerceiver

LAYERS = (
    ShiftedWindowBlock,
    encoder.EncoderLayer,
    decoder.DecoderLayer,
    PostNormLayer,
    decoder_layer.DecoderLayer,
)
"""The layers whose activations are computed anew: of a Swin backbone, the proposal network, f_text and g."""


def checkpoint_activations(model: UniPerceiver) -> None:
    """Let the layers of a model keep their inputs alone for the backward pass, in place.

    Outputs, gradients, draws of random numbers and the names of the state dict stay the same, and nothing changes where
    no gradients are made. A backbone other than Swin does it by stages, with timm's own switch; one of the few without
    that switch keeps its activations.
    """
    for layer in model.modules():
        if isinstance(layer, LAYERS):
            layer.forward = MethodType(_checkpointed_forward, layer)  # type: ignore[method-assign]
    if not isinstance(model.f_image, ImageEncoder):
        return
    network = model.f_image.backbone.network
    is_done = any(isinstance(layer, LAYERS) for layer in network.modules())
    if not is_done and hasattr(network, "set_grad_checkpointing"):
        network.set_grad_checkpointing()


def _checkpointed_forward(layer: nn.Module, *inputs: Any) -> Any:
    forward = type(layer).forward
    if not torch.is_grad_enabled():
        return forward(layer, *inputs)
    return checkpoint(forward, layer, *inputs, use_reentrant=False)
