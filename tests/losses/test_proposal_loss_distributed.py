"""Two processes average to what one process computes on their joint batch."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from uniperceiver.batches import ObjectTargets
from uniperceiver.config import ProposalLossConfig
from uniperceiver.losses.proposal_loss import ProposalLoss, proposal_loss
from uniperceiver.model.proposals.outputs import ProposalOutput, Stage

COUNTS = (3, 0)
"""Objects of the two images."""


def loss_of(tensors: list[Tensor], images: slice) -> ProposalLoss:
    """Without masks, whose points are random."""
    logits, boxes, embeddings, features = (t[images] for t in tensors[:4])
    stage = Stage(logits, boxes, embeddings)
    output = ProposalOutput(torch.zeros(len(logits), 5, 4), (stage, stage), stage, (), features)
    targets = [
        ObjectTargets(
            boxes=tensors[4][:count],
            masks=torch.zeros(count, 32, 32).bool(),
            labels=torch.zeros(count).long(),
            image_id=f"image-{count}",
            has_mask=torch.ones(count).bool(),
        )
        for count in COUNTS[images]
    ]
    return proposal_loss(output, targets, None, ProposalLossConfig(points=10, mask=0.0, dice=0.0))


def work(rank: int, folder: Path, tensors: list[Tensor]) -> None:
    """Compute and save the loss of one image as one process of two."""
    torch.set_num_threads(1)  # threads do not survive a fork
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    loss = loss_of(tensors, slice(rank, rank + 1))
    torch.save({"objects": loss.normaliser, **loss.weighted}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_average_to_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shapes = ((2, 5, 1), (2, 5, 4), (2, 5, 6), (2, 6, 8, 8), (3, 4))
    tensors = [torch.rand(shape) for shape in shapes]
    mp.start_processes(work, (tmp_path, tensors), nprocs=2, start_method="fork")
    joint = loss_of(tensors, slice(0, 2))
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert [float(part["objects"]) for part in parts] == [1.5, 1.5]
    for name in ("objectness", "box", "giou"):
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, joint.weighted[name])
