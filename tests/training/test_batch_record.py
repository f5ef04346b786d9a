"""A batch written aside can be read again."""

from __future__ import annotations

from pathlib import Path

import torch

from uniperceiver.batches import ImageBatch, ObjectTargets
from uniperceiver.tasks.detection import DetectionBatch
from uniperceiver.training.batch_record import read_batch, write_batch


def test_tensors_however_deep_and_the_rest_come_back(tmp_path: Path) -> None:
    images = ImageBatch(torch.rand(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool))
    target = ObjectTargets(
        torch.rand(1, 4), torch.ones(1, 4, 4, dtype=torch.bool), torch.tensor([3]), "photo.jpg", torch.ones(1).bool()
    )
    batch = DetectionBatch(images, (target, target), ((4, 4), (3, 2)), ((8, 8), (6, 4)))
    write_batch(tmp_path / "bad", batch, {"step": 7, "stream": "objects", "problem": "the loss is not finite"})
    tensors, about = read_batch(tmp_path / "bad")
    assert torch.equal(tensors["images.pixels"], images.pixels)
    assert torch.equal(tensors["targets.1.labels"], target.labels)
    assert about["step"] == 7
    assert about["batch"] == "DetectionBatch"
    assert about["without_tensors"]["targets.0.image_id"] == "photo.jpg"
    assert about["without_tensors"]["sizes.1.1"] == 2
