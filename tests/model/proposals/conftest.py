"""Recorded Mask DINO networks and what went through them, as modules and types of this project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.config import DenoisingConfig, ProposalConfig
from uniperceiver.convert.mask_dino import load_mask_dino_head
from uniperceiver.model.proposals.network import ProposalNetwork

GOLDEN = Path(__file__).parents[2] / "golden"
CHANNELS = (16, 32, 48, 64)

Recorded = dict[str, Tensor]
MakeNetwork = Callable[..., ProposalNetwork]


@pytest.fixture(scope="session")
def pixel_decoder() -> Recorded:
    return load_file(GOLDEN / "maskdino_pixel_decoder.safetensors")


@pytest.fixture(scope="session")
def training() -> Recorded:
    return load_file(GOLDEN / "maskdino_train_k5.safetensors")


@pytest.fixture(scope="session")
def decoder_k5() -> Recorded:
    return load_file(GOLDEN / "maskdino_decoder_eval_k5.safetensors")


@pytest.fixture(scope="session")
def decoder_k1() -> Recorded:
    return load_file(GOLDEN / "maskdino_decoder_eval_k1.safetensors")


@pytest.fixture(scope="session")
def features(pixel_decoder: Recorded) -> list[Tensor]:
    """The backbone's maps of two 128x160 images."""
    return [pixel_decoder[f"in/res{stage}"] for stage in (2, 3, 4, 5)]


def recorded_config(classes: int, box_initialisation: str = "predicted") -> ProposalConfig:
    return ProposalConfig(
        width=64,
        heads=4,
        encoder_layers=2,
        decoder_layers=3,
        feedforward=96,
        mask_width=64,
        queries=20,
        mask_fusion="identity",
        box_initialisation=box_initialisation,  # type: ignore[arg-type]
        learned_queries=False,
        classes=classes,
        denoising=DenoisingConfig(kind="mask_dino", queries=12, box_noise=0.4, label_noise=0.4, categories=classes),
    )


@pytest.fixture(scope="session")
def recorded_network(pixel_decoder: Recorded, training: Recorded, decoder_k1: Recorded) -> MakeNetwork:
    """The recorded network with 5 classes or 1."""

    def make(classes: int, box_initialisation: str = "predicted") -> ProposalNetwork:
        decoder = training if classes == 5 else decoder_k1
        official = {
            f"{part}.{key.removeprefix('param/')}": tensor
            for part, values in (("pixel_decoder", pixel_decoder), ("predictor", decoder))
            for key, tensor in values.items()
            if key.startswith("param/")
        }
        network = ProposalNetwork(recorded_config(classes, box_initialisation), CHANNELS)
        load_mask_dino_head(network, official)
        return network

    return make


@pytest.fixture
def tiny_config() -> ProposalConfig:
    """Uni-Perceiver v2's network, small: learned queries, H of Eq. (8), contrastive denoising, one logit."""
    return ProposalConfig(
        width=32,
        heads=4,
        points=2,
        encoder_layers=1,
        decoder_layers=2,
        feedforward=48,
        mask_width=16,
        queries=12,
        denoising=DenoisingConfig(queries=50, categories=10),
    )


@pytest.fixture
def tiny_network(tiny_config: ProposalConfig) -> ProposalNetwork:
    torch.manual_seed(0)
    return ProposalNetwork(tiny_config, (4, 6, 8, 10))


@pytest.fixture
def make_features() -> Callable[..., list[Tensor]]:
    """Random backbone maps of an image size."""

    def make(batch: int, height: int, width: int) -> list[Tensor]:
        return [
            torch.randn(batch, channels, -(-height // stride), -(-width // stride))
            for channels, stride in zip((4, 6, 8, 10), (4, 8, 16, 32), strict=True)
        ]

    return make
