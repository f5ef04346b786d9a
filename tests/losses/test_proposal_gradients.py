"""Network and loss together: the gradients of a recorded Mask DINO training step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uniperceiver.config import DenoisingConfig, ProposalConfig
from uniperceiver.convert.key_rules import our_key
from uniperceiver.convert.mask_dino import load_mask_dino_head, proposal_rules
from uniperceiver.losses.proposal_loss import proposal_loss
from uniperceiver.model.proposals.denoising import NoiseDraws, noised_queries
from uniperceiver.model.proposals.network import ProposalNetwork
from uniperceiver.model.proposals.pyramid import Pyramid

CONFIG = ProposalConfig(
    width=64,
    heads=4,
    encoder_layers=1,
    decoder_layers=3,
    feedforward=96,
    mask_width=64,
    queries=20,
    mask_fusion="identity",
    learned_queries=False,
    classes=5,
    denoising=DenoisingConfig(kind="mask_dino", queries=12, box_noise=0.4, label_noise=0.4, categories=5),
)


def ours(key: str) -> str:
    """Our name of a recorded parameter of the decoder."""
    name = our_key(f"sem_seg_head.predictor.{key}", proposal_rules(levels=4))
    assert name is not None
    return name


@pytest.fixture(scope="module")
def network(recorded_training) -> ProposalNetwork:
    """Mask DINO's decoder with the recorded weights; the encoder takes no part."""
    network = ProposalNetwork(CONFIG, channels=(16, 32, 48, 64))
    prefix = "param/"
    weights = {k.removeprefix(prefix): v for k, v in recorded_training.values.items() if k.startswith(prefix)}
    load_mask_dino_head(network, weights, part="sem_seg_head.predictor")
    return network


@pytest.fixture(scope="module")
def gradients(network: ProposalNetwork, recorded_training) -> dict[str, Tensor]:
    """Gradients of the total loss, under the recorded names."""
    values = recorded_training.values
    inputs = {
        name: values[f"in/nomask/{name}"].clone().requires_grad_()
        for name in ("mask_features", *(f"multi_scale/{level}" for level in range(4)))
    }
    draws = NoiseDraws(values["rng/dn/label_p"], values["rng/dn/new_label"], None, values["rng/dn/box_rand"])
    denoising = noised_queries(recorded_training.targets, draws, CONFIG.denoising, CONFIG.queries)
    memory = Pyramid.from_maps([inputs[f"multi_scale/{level}"] for level in range(4)]).reversed()
    output = network.decode(memory, inputs["mask_features"], denoising=denoising)
    loss = proposal_loss(
        output, recorded_training.targets, denoising, recorded_training.config, recorded_training.draw()
    )
    total = sum(loss.weighted.values())
    torch.testing.assert_close(total, values["out/loss_total"], rtol=1e-4, atol=1e-4)
    total.backward()
    parameters = dict(network.named_parameters())
    recorded = [key.removeprefix("grad/") for key in values if key.startswith("grad/")]
    found = {}
    for key in recorded:
        tensor = (
            inputs[key.removeprefix("in/")] if key.startswith("in/") else parameters[ours(key.removeprefix("param/"))]
        )
        assert tensor.grad is not None, key
        found[key] = tensor.grad
    return found


def test_gradients_of_mask_dino(gradients: dict[str, Tensor], recorded_training) -> None:
    """Every parameter and input, within 1e-4 of the recorded gradient relative to its largest entry."""
    errors = {}
    for key, gradient in gradients.items():
        recorded = recorded_training.values[f"grad/{key}"]
        errors[key] = float((gradient - recorded).abs().max() / recorded.abs().max())
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] < 1e-4, f"{worst}: {errors[worst]}"


def test_gradients_of_everything_that_was_recorded(gradients: dict[str, Tensor], network: ProposalNetwork) -> None:
    """All inputs, and every parameter of the decoder, the heads and the selection."""
    assert sum(key.startswith("in/") for key in gradients) == 5
    recorded = {ours(key.removeprefix("param/")) for key in gradients if key.startswith("param/")}
    trained = {name for name, _ in network.named_parameters() if not name.startswith(("encoder.", "mask_features."))}
    assert recorded == trained
