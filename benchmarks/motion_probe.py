"""Whether clips of moving objects can be told apart at all, and by what: a small convolutional network on their frames.

    python benchmarks/motion_probe.py

It learns the four classes of the view `motions` from four frames, from the same frames in random order, and from the
middle frame alone; what is printed is how many clips of the split `val` it then names rightly.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uniperceiver.config import FrameSamplingConfig, ScenesConfig
from uniperceiver.data.datasets.scenes import SceneMotions

FRAMES = 4
SIDE = 64


def clips(split: Literal["train", "val"], number: int) -> tuple[Tensor, Tensor]:
    """Frames (N, T, 3, H, W) in [-0.5, 0.5], with the middle one as the last, and labels (N,)."""
    data = [
        SceneMotions(ScenesConfig("motions", split, number, size=SIDE, sampling=FrameSamplingConfig(frames)))
        for frames in (FRAMES, 1)
    ]
    records = [data[0][index] for index in range(number)]
    middles = torch.stack([data[1][index].frames[0] for index in range(number)])
    frames = torch.cat([torch.stack([record.frames[0] for record in records]), middles], dim=1)
    return frames.float() / 255 - 0.5, torch.tensor([record.label for record in records])


def in_order(frames: Tensor) -> Tensor:
    """Four frames as channels."""
    return frames[:, :FRAMES].flatten(1, 2)


def in_random_order(frames: Tensor) -> Tensor:
    """The same, of every clip in an order of its own."""
    return torch.stack([clip[torch.randperm(FRAMES)] for clip in frames]).flatten(1, 2)


def middle(frames: Tensor) -> Tensor:
    """The middle frame alone."""
    return frames[:, FRAMES]


def network(channels: int) -> nn.Module:
    """Three convolutions of stride two and a linear layer."""
    layers: list[nn.Module] = []
    for before, after, kernel in ((channels, 16, 5), (16, 32, 3), (32, 32, 3)):
        layers += [nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * (SIDE // 8) ** 2, 4))


def accuracy(seen: Callable[[Tensor], Tensor], training: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]) -> float:
    """Of a network trained for eight epochs on what is seen of clips."""
    torch.manual_seed(0)
    model = network(seen(training[0][:1]).shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(8):
        for rows in torch.randperm(len(training[0])).split(64):
            loss = F.cross_entropy(model(seen(training[0][rows])), training[1][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(seen(val[0])).argmax(dim=1) == val[1]).float().mean())


def main() -> None:
    """Print one line for each of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=3000, help="To train on; a third as many to test.")
    number = parser.parse_args().clips
    training, val = clips("train", number), clips("val", number // 3)
    for seen in (in_order, in_random_order, middle):
        print(f"{seen.__name__.replace('_', ' ')}: {accuracy(seen, training, val):.1%}")


if __name__ == "__main__":
    main()
