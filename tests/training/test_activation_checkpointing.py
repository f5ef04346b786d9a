"""Activation checkpointing: less is kept, everything else stays the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import BackboneConfig, OptimizerConfig, TrainConfig, load_train_config
from uniperceiver.model.backbone import build_backbone
from uniperceiver.tasks.retrieval import RetrievalTask
from uniperceiver.training.activation_checkpointing import checkpoint_activations
from uniperceiver.training.train import Training, initial


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    """One step trains every stream, with stochastic depth and noise on the gates."""
    config = load_train_config(str(train_yaml), {"root": str(data)})
    return replace(config, sampling="mixed", optimizer=OptimizerConfig(name="adamw"))


def one_step(config: TrainConfig, folder: Path) -> tuple[Training, dict[str, dict[str, float]], Tensor]:
    """A training after one step, its losses by stream, and the state of the random numbers."""
    training = Training(config, folder, initial(config), "cpu")
    training.loss.train()
    reports = training.take_step()
    return training, {report.stream: report.losses for report in reports}, torch.get_rng_state()


def bytes_kept(model: nn.Module, run: Callable[[], object]) -> int:
    """Size of what autograd keeps for the backward pass besides the weights, views of one storage counted once."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        _result = run()  # alive until all is counted, so that no address is used twice
    return sum(size for place, size in kept.items() if place not in weights)


def test_losses_gradients_and_random_numbers_stay_the_same(config: TrainConfig, tmp_path: Path) -> None:
    plain, expected, expected_state = one_step(config, tmp_path)
    saving, losses, state = one_step(replace(config, checkpoint_activations=True), tmp_path)
    assert set(losses) == set(config.streams)
    for stream in losses:
        assert losses[stream] == pytest.approx(expected[stream], rel=1e-6)
    assert torch.equal(state, expected_state)
    gradients = {name: parameter.grad for name, parameter in plain.model.named_parameters()}
    for name, parameter in saving.model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6, msg=name)
    assert list(saving.model.state_dict()) == list(plain.model.state_dict())


def test_every_part_keeps_less_and_nothing_in_evaluation(config: TrainConfig) -> None:
    model = initial(config).model.train()
    images = ImageBatch(torch.rand(2, 3, 128, 128), torch.zeros(2, 128, 128, dtype=torch.bool))
    text = TextBatch.from_ids([[5] * 30] * 8, padding_id=0)
    encoded = model.encode_text(text)
    sides: dict[str, Callable[[], object]] = {
        "f_image": lambda: model.encode_image(images),
        "f_text": lambda: model.encode_text(text),
        "g": lambda: model.decode(encoded, attributes=RetrievalTask.attributes),
    }
    plain = {name: bytes_kept(model, run) for name, run in sides.items()}
    checkpoint_activations(model)
    kept = {name: bytes_kept(model, run) / plain[name] for name, run in sides.items()}
    # ResNet-10's stem, which stays, is most of the tiny f_image.
    assert kept["f_image"] < 0.9
    assert kept["f_text"] < 0.5
    assert kept["g"] < 0.5
    with torch.no_grad():
        assert sum(bytes_kept(model, run) for run in sides.values()) == 0


def test_a_copy_computes_with_its_own_weights(config: TrainConfig) -> None:
    model = initial(config).model
    checkpoint_activations(model)
    layer = model.f_text.layers[0]
    twin = copy.deepcopy(layer)
    nn.init.zeros_(twin.feedforward_norm.weight)
    x = torch.rand(1, 3, model.config.text.width)
    assert twin(x, None)[0].abs().sum() == 0
    assert layer(x, None)[0].abs().sum() > 0


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "swin_tiny_patch4_window7_224"])
def test_backbones_of_every_family(config: TrainConfig, name: str) -> None:
    """A network of timm with its own switch, and Swin by our blocks: the same maps and gradients, less kept."""
    model = initial(config).model.eval()  # without stochastic depth
    backbone = model.f_image.backbone = build_backbone(BackboneConfig(name)).eval()
    pixels = torch.rand(1, 3, 64, 64)

    def outcome() -> tuple[int, list[Tensor]]:
        backbone.zero_grad()
        maps: list[Tensor] = []
        kept = bytes_kept(backbone, lambda: maps.extend(backbone(pixels)))
        torch.stack([one.square().mean() for one in maps]).sum().backward()
        return kept, [p.grad for p in backbone.parameters() if p.grad is not None]

    plain, expected = outcome()
    checkpoint_activations(model)
    kept, gradients = outcome()
    assert kept < plain
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-6)
