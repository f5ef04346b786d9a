"""Two processes average to what one process computes on their joint batch. Run as a script, it is one of the two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
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
            tensors[4][:count], torch.zeros(count, 32, 32).bool(), torch.zeros(count).long(), f"image-{count}"
        )
        for count in COUNTS[images]
    ]
    return proposal_loss(output, targets, None, ProposalLossConfig(points=10, mask=0.0, dice=0.0))


@pytest.mark.slow
def test_two_processes_average_to_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shapes = ((2, 5, 1), (2, 5, 4), (2, 5, 6), (2, 6, 8, 8), (3, 4))
    tensors = [torch.rand(shape) for shape in shapes]
    torch.save(tensors, tmp_path / "tensors.pt")
    processes = [subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    joint = loss_of(tensors, slice(0, 2))
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert [float(part["objects"]) for part in parts] == [1.5, 1.5]
    for name in ("objectness", "box", "giou"):
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, joint.weighted[name])


def main(rank: int, folder: Path) -> None:
    """Compute and save the loss of one image as one process of two."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    loss = loss_of(torch.load(folder / "tensors.pt", weights_only=True), slice(rank, rank + 1))
    torch.save({"objects": loss.normaliser, **loss.weighted}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
