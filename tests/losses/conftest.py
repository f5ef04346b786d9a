"""Recorded values of the official Mask DINO code, as the types of this project (tests/golden)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.config import ProposalLossConfig
from uniperceiver.losses.mask_points import DrawPoints
from uniperceiver.model.proposals.denoising import DenoisingQueries
from uniperceiver.model.proposals.outputs import ProposalOutput, Stage

GOLDEN = Path(__file__).parents[1] / "golden"
SLOTS = 12
QUERIES = 20
STAGES = ("aux0", "aux1", "aux2", "final")


@dataclass(frozen=True)
class RecordedTraining:
    """One recorded training step of Mask DINO with five classes."""

    values: dict[str, Tensor]
    config: ProposalLossConfig
    targets: tuple[ObjectTargets, ...]
    denoising: DenoisingQueries
    output: ProposalOutput
    """The recorded predictions. Only masks were recorded, so the masks of all stages are the mask features here, and a
    mask embedding is one-hot."""

    def draw(self) -> DrawPoints:
        """The recorded points, in the order in which `proposal_loss` draws them."""
        queue: list[Tensor] = []
        for name in ("interm", *STAGES):
            queue.append(torch.cat([self.values[f"rng/match/{name}/img{image}"] for image in range(2)]))
            queue += [self.values[f"rng/mask/{name}/{kind}"] for kind in ("oversample", "random")]
        for name in ("dn0", "dn1", "dn2", "dn"):
            queue += [self.values[f"rng/mask/{name}/{kind}"] for kind in ("oversample", "random")]
        return replay(queue)


def replay(queue: list[Tensor]) -> DrawPoints:
    """A source of points that gives recorded ones; they must have the shape that is asked for."""

    def draw(sets: int, points: int) -> Tensor:
        recorded = queue.pop(0)
        assert recorded.shape == (sets, points, 2)
        return recorded

    return draw


@pytest.fixture(scope="session")
def primitives() -> dict[str, Tensor]:
    return load_file(GOLDEN / "maskdino_primitives.safetensors")


@pytest.fixture(scope="session")
def recorded_training() -> RecordedTraining:
    values = load_file(GOLDEN / "maskdino_train_k5.safetensors")
    targets = tuple(
        ObjectTargets(
            *(values[f"in/target/{i}/{name}"] for name in ("boxes", "masks", "labels")),
            image_id=f"image-{i}",
            has_mask=torch.ones_like(values[f"in/target/{i}/labels"], dtype=torch.bool),
        )
        for i in range(2)
    )
    target_index = torch.full((2, SLOTS), -1)
    objects = torch.cat([torch.arange(len(target.labels)) for target in targets])
    groups = int(values["out/dn/num_groups"])
    target_index[values["out/dn/batch_idx"].repeat(groups), values["out/dn/slot_idx"]] = objects.repeat(groups)
    denoising = DenoisingQueries(
        labels=torch.zeros(2, SLOTS, dtype=torch.int64),
        boxes_unsigmoid=values["out/dn/input_query_bbox_unsig"],
        is_filled=target_index >= 0,
        target_index=target_index,
        is_blocked=values["out/internal/attn_mask"],
        groups=groups,
    )
    config = ProposalLossConfig(objectness=4, box=5, giou=2, mask=5, dice=5, points=196)
    return RecordedTraining(values, config, targets, denoising, _recorded_output(values))


def _recorded_output(values: dict[str, Tensor]) -> ProposalOutput:
    names = ["interm", *STAGES, *(f"dn/{name}" for name in STAGES)]
    masks = [values[f"out/{name}/pred_masks"] for name in names]
    identity = torch.eye(sum(m.shape[1] for m in masks))
    embeddings = dict(zip(names, identity.split([m.shape[1] for m in masks]), strict=True))

    def stage(name: str) -> Stage:
        logits, boxes = (values[f"out/{name}/{kind}"] for kind in ("pred_logits", "pred_boxes"))
        return Stage(logits, boxes, embeddings[name].expand(2, -1, -1))

    return ProposalOutput(
        semantics=values["out/internal/hs/2"][:, SLOTS:],
        stages=tuple(stage(name) for name in STAGES),
        encoder_stage=stage("interm"),
        denoising_stages=tuple(stage(f"dn/{name}") for name in STAGES),
        mask_features=torch.cat(masks, dim=1),
    )


MakeTargets = Callable[..., list[ObjectTargets]]
MakeStage = Callable[..., Stage]


@pytest.fixture
def make_targets() -> MakeTargets:
    """Images with rectangles for objects."""

    def make(*counts: int, size: int = 32, classes: int = 1, have_masks: bool = True) -> list[ObjectTargets]:
        targets = []
        for image, count in enumerate(counts):
            boxes = torch.rand(count, 4) * 0.4 + torch.tensor([0.3, 0.3, 0.1, 0.1])
            masks = torch.zeros(count, size, size, dtype=torch.bool)
            for mask, (x, y, w, h) in zip(masks, (boxes * size).tolist(), strict=True):
                mask[int(y - h / 2) : int(y + h / 2) + 1, int(x - w / 2) : int(x + w / 2) + 1] = True
            labels, has_mask = torch.randint(0, classes, (count,)), torch.full((count,), have_masks)
            targets.append(ObjectTargets(boxes, masks, labels, f"image-{image}", has_mask))
        return targets

    return make


@pytest.fixture
def make_stage() -> MakeStage:
    """Random predictions that want gradients."""

    def make(images: int, queries: int, classes: int = 1, width: int = 6) -> Stage:
        return Stage(
            torch.randn(images, queries, classes, requires_grad=True),
            torch.rand(images, queries, 4).mul(0.5).add(0.2).requires_grad_(),
            torch.randn(images, queries, width, requires_grad=True),
        )

    return make
