"""A step of the demo's training, task by task, beside the same step without what makes it quicker, in one run.

    python benchmarks/demo_step.py --threads 2

One real batch of every task, whole steps of the optimiser, alternated, the least time of each: as the demo trains; with
a proposal network that every task teaches; with texts that are all padded to the longest; with MT-AdamW over all
parameters at once; and with all three.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from measuring import arguments, keep_heap
from rich.console import Console
from rich.table import Table

from uniperceiver.config import ImageEncoderConfig
from uniperceiver.demo import demo_config, installed_cutouts
from uniperceiver.tasks import similar_length
from uniperceiver.training.mt_adamw import MTAdamW
from uniperceiver.training.start import starting_point
from uniperceiver.training.train import Training

WITHOUT = ("taught by detection", "read by length", "one parameter at a time")


def prepared(folder: Path) -> tuple[Training, dict[str, Any]]:
    """The demo's training at its start, and the first batch of every stream."""
    config = replace(demo_config(installed_cutouts()), workers=0)
    config = replace(config, schedule=replace(config.schedule, minutes=None))
    training = Training(config, folder, starting_point(config, folder / "checkpoint", False), "cpu")
    training.loss.train()
    batches: dict[str, Any] = {}
    while len(batches) < len(config.streams):
        step = next(training.batches)
        batches |= {name: step for name in step if name not in batches}
    return training, batches


@contextmanager
def without(training: Training, what: tuple[str, ...]) -> Iterator[None]:
    """Some of `WITHOUT` undone."""
    encoder = training.model.region_encoder
    with ExitStack() as undone:
        if "taught by detection" in what:
            undone.enter_context(patch.object(encoder, "config", _taught_by_every_task(encoder.config)))
        if "read by length" in what:
            undone.enter_context(patch.object(similar_length, "GROUPS", 1))
        if "one parameter at a time" in what:
            undone.enter_context(patch.object(MTAdamW, "_update", _all_at_once))
        yield


def _taught_by_every_task(config: ImageEncoderConfig) -> ImageEncoderConfig:
    assert config.proposals is not None
    return replace(config, proposals=replace(config.proposals, taught_by="every_task"))


def _all_at_once(optimizer: MTAdamW, group: dict[str, Any], factor: float, s: float) -> None:
    group["t"] += 1
    optimizer._move(group["params"], group, factor, s)


def main() -> None:
    """Measure every task in turn and print the table; its last line is the mean step, by the tasks' shares."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    keep_heap()
    torch.set_num_threads(given.threads)
    ways: dict[str, tuple[str, ...]] = {"the demo": (), **{f"not {what}": (what,) for what in WITHOUT}, "none": WITHOUT}
    best: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        training, batches = prepared(Path(folder))
        for measured in range((1 if given.quick else given.rounds) + 1):
            for stream, batch in batches.items():
                for way, what in ways.items():
                    training.batches = iter([batch])  # type: ignore[assignment]
                    with without(training, what):
                        began = time.perf_counter()
                        training.take_step()
                        seconds = time.perf_counter() - began
                    if measured:
                        best[stream, way] = min(best.get((stream, way), seconds), seconds)
    shares = {stream: training.mixture.sampling_ratio(stream) for stream in batches}
    table = Table("seconds of a step", *ways, title=f"{given.threads} threads, torch {torch.__version__}")
    for stream in batches:
        table.add_row(stream, *(f"{best[stream, way]:.3f}" for way in ways))
    means = {way: sum(shares[stream] * best[stream, way] for stream in batches) for way in ways}
    table.add_row("mean", *(f"{mean:.3f} ({mean / means['none']:.2f})" for mean in means.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
