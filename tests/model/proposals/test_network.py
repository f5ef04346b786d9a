"""The whole network: Mask DINO's recorded values, and Uni-Perceiver v2's own parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.config import DenoisingConfig, ProposalConfig
from uniperceiver.model.proposals.denoising import DenoisingQueries, NoiseDraws, make_denoising_queries, noised_queries
from uniperceiver.model.proposals.network import ProposalNetwork
from uniperceiver.model.proposals.outputs import ProposalOutput, Stage, mask_logits
from uniperceiver.model.proposals.pyramid import Pyramid

STAGES = ("aux0", "aux1", "aux2", "final")


def assert_stage(stage: Stage, output: ProposalOutput, recorded: dict[str, Tensor], prefix: str) -> None:
    """Logits and boxes, and masks where they were recorded."""
    found = {"pred_logits": stage.logits, "pred_boxes": stage.boxes}
    if f"{prefix}/pred_masks" in recorded:
        found["pred_masks"] = mask_logits(stage.mask_embeddings, output.mask_features)
    for name, value in found.items():
        torch.testing.assert_close(value, recorded[f"{prefix}/{name}"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "classes", "box_initialisation"),
    [
        ("nomask_no", 5, "predicted"),
        ("nomask_mask2box", 5, "mask2box"),
        ("nomask_bitmask", 5, "bitmask"),
        ("mask_no", 5, "predicted"),
        ("nomask_bitmask", 1, "bitmask"),
    ],
)
def test_predictions_equal_the_recorded_ones(
    recorded_network,
    decoder_k5,
    decoder_k1,
    pixel_decoder,
    features,
    variant: str,
    classes: int,
    box_initialisation: str,
) -> None:
    recorded = decoder_k5 if classes == 5 else decoder_k1
    network = recorded_network(classes, box_initialisation)
    is_padding = pixel_decoder["in/image_padding_mask"] if variant.startswith("mask") else None
    with torch.no_grad():
        output = network(features, is_padding)
    for name, stage in zip(STAGES, output.stages, strict=True):
        assert_stage(stage, output, recorded, f"out/{variant}/{name}")
    if f"out/{variant}/interm/pred_logits" in recorded:
        assert_stage(output.encoder_stage, output, recorded, f"out/{variant}/interm")
    torch.testing.assert_close(output.semantics, recorded[f"out/{variant}/hs/2"], rtol=1e-4, atol=1e-4)


def test_training_predictions_equal_the_recorded_ones(recorded_network, training) -> None:
    network = recorded_network(5)
    config = DenoisingConfig("mask_dino", queries=12, box_noise=0.4, label_noise=0.4, categories=5)
    targets = [
        ObjectTargets(
            *(training[f"in/target/{i}/{name}"] for name in ("boxes", "masks", "labels")),
            image_id=f"image-{i}",
            has_mask=torch.ones_like(training[f"in/target/{i}/labels"], dtype=torch.bool),
        )
        for i in range(2)
    ]
    draws = NoiseDraws(training["rng/dn/label_p"], training["rng/dn/new_label"], None, training["rng/dn/box_rand"])
    memory = Pyramid.from_maps([training[f"in/nomask/multi_scale/{i}"] for i in (3, 2, 1, 0)])
    denoising = noised_queries(targets, draws, config, queries=20)
    output = network.decode(memory, training["in/nomask/mask_features"], None, denoising)
    for name, stage, noised in zip(STAGES, output.stages, output.denoising_stages, strict=True):
        assert_stage(stage, output, training, f"out/{name}")
        assert_stage(noised, output, training, f"out/dn/{name}")
    assert_stage(output.encoder_stage, output, training, "out/interm")


def some_objects(*counts: int) -> list[ObjectTargets]:
    return [
        ObjectTargets(
            boxes=torch.rand(n, 4) * 0.3 + 0.3,
            masks=torch.zeros(n, 64, 64, dtype=torch.bool),
            labels=torch.arange(n),
            image_id=str(n),
            has_mask=torch.ones(n, dtype=torch.bool),
        )
        for n in counts
    ]


def total(output: ProposalOutput) -> Tensor:
    stages = (*output.stages, output.encoder_stage, *output.denoising_stages)
    return sum(
        (
            stage.logits.square().mean()
            + stage.boxes.square().mean()
            + mask_logits(stage.mask_embeddings, output.mask_features).square().mean()
            for stage in stages
        ),
        start=output.semantics.square().mean(),
    )


def test_every_parameter_learns(tiny_network: ProposalNetwork, tiny_config: ProposalConfig, make_features) -> None:
    for parameter in tiny_network.parameters():  # some start at zero, which hides others from the gradient
        parameter.data += 0.05 * torch.randn_like(parameter)
    denoising = make_denoising_queries(some_objects(2, 0), tiny_config.denoising, tiny_config.queries)
    output = tiny_network(make_features(2, 128, 128), None, denoising)
    assert output.denoising_stages[0].logits.shape == (2, denoising.slots, 1)
    total(output).backward()
    silent = [name for name, p in tiny_network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("kind", ["contrastive", "mask_dino"])
@pytest.mark.parametrize("box_initialisation", ["predicted", "mask2box", "bitmask"])
def test_denoising_does_not_change_the_predictions(tiny_config, make_features, box_initialisation, kind) -> None:
    config = replace(
        tiny_config, box_initialisation=box_initialisation, denoising=replace(tiny_config.denoising, kind=kind)
    )
    torch.manual_seed(0)
    tiny_network = ProposalNetwork(config, (4, 6, 8, 10))
    features = make_features(2, 64, 64)
    denoising = make_denoising_queries(some_objects(2, 1), config.denoising, config.queries)
    assert denoising is not None
    with torch.no_grad():
        plain, noised = tiny_network(features), tiny_network(features, None, denoising)
    assert plain.denoising_stages == ()
    torch.testing.assert_close(noised.denoising_stages[0].boxes, denoising.boxes_unsigmoid.sigmoid())
    torch.testing.assert_close(noised.stages[0].boxes, plain.stages[0].boxes)
    is_from_masks = not torch.allclose(plain.stages[0].boxes, plain.encoder_stage.boxes)
    assert is_from_masks == (box_initialisation != "predicted")
    torch.testing.assert_close(noised.semantics, plain.semantics, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(noised.final.boxes, plain.final.boxes, rtol=1e-4, atol=1e-5)


def test_fewer_tokens_than_queries_with_denoising(tiny_network, tiny_config, make_features) -> None:
    denoising = make_denoising_queries(some_objects(1), tiny_config.denoising, tiny_config.queries)
    assert isinstance(denoising, DenoisingQueries)
    output = tiny_network(make_features(1, 16, 16), None, denoising)  # 4 + 1 + 1 + 1 tokens
    assert output.semantics.shape == (1, 7, 32)
    assert output.denoising_stages[-1].boxes.shape == (1, denoising.slots, 4)
    total(output).backward()


@pytest.mark.parametrize("size", [(4, 4), (32, 8), (1, 300)])
def test_any_picture_size(tiny_network, make_features, size: tuple[int, int]) -> None:
    output = tiny_network(make_features(1, *size))
    for stage in output.stages:
        assert stage.logits.isfinite().all()
        assert ((stage.boxes >= 0) & (stage.boxes <= 1)).all()
    assert output.mask_features.shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))


def test_images_do_not_influence_each_other(tiny_network, make_features) -> None:
    features = make_features(2, 64, 96)
    with torch.no_grad():
        both, second = tiny_network(features), tiny_network([one[1:] for one in features])
    torch.testing.assert_close(both.semantics[1:], second.semantics, rtol=1e-4, atol=1e-5)


def test_autocast_leaves_boxes_scores_and_masks_in_full_precision(tiny_network, make_features) -> None:
    features = make_features(1, 64, 64)
    with torch.no_grad():
        plain = tiny_network(features)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = tiny_network([one.bfloat16() for one in features])
    for tensor in (cast.semantics, cast.mask_features, *vars(cast.final).values(), *vars(cast.encoder_stage).values()):
        assert tensor.dtype == torch.float32
        assert not torch.equal(tensor, tensor.bfloat16().float())  # more than rounded numbers in a wide type
    assert float((cast.mask_features - plain.mask_features).abs().mean()) < 0.02 * float(plain.mask_features.std())


def test_four_maps_are_needed(tiny_config: ProposalConfig) -> None:
    with pytest.raises(ValueError, match="stride 4, 8, 16 and 32"):
        ProposalNetwork(tiny_config, (8, 16, 32))
