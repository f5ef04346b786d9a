"""Uni-Perceiver-MoE folded for deployment, beside the same model with its experts and beside a dense one.

    python benchmarks/v1_moe.py --layers 4

One process, random weights, pictures of 224 pixels; the base model's width. "merging" makes the weights of each stream
anew in every pass, as training does and the official code does always. Times are of the processor, so that other work
on the machine does not count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch

from uniperceiver.batches import ImageBatch
from uniperceiver.config import load_config
from uniperceiver.convert.uniperceiver_v1 import folded
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver

CLASSIFICATION = TaskAttributes(input_image=True, input_text=False)


def small(name: str, layers: int) -> UniPerceiver:
    """A shipped configuration with fewer layers and words."""
    config = load_config(name)
    text = replace(config.text, vocabulary_size=1000, spe_id=999)
    torch.manual_seed(0)
    return UniPerceiver(replace(config, text=text, decoder=replace(config.decoder, layers=layers))).eval()


def seconds(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median time of each run; they take turns, after one turn to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + repeats):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {name: median(found[1:]) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    images = ImageBatch(torch.randn(given.batch, 3, 224, 224), torch.zeros(given.batch, 224, 224, dtype=torch.bool))
    experts, dense = small("v1_moe_base", given.layers), small("v1_base", given.layers)
    lean = folded(experts)

    def represent(model: UniPerceiver, with_gradients: bool = False) -> torch.Tensor:
        with torch.set_grad_enabled(with_gradients):
            return model.decode(model.encode_image(images).segment, attributes=CLASSIFICATION).spe.detach()

    difference = float((represent(lean) - represent(experts)).abs().max())
    runs = {
        "dense": lambda: represent(dense),
        "folded": lambda: represent(lean),
        "experts, merged weights kept": lambda: represent(experts),
        "experts, merging": lambda: represent(experts, with_gradients=True),
    }
    times = seconds(runs, given.repeats)
    print(f"largest difference of folded and unfolded representations: {difference:.1e}")
    for name, value in times.items():
        parameters = {"dense": dense, "folded": lean}.get(name, experts)
        count = sum(p.numel() for p in parameters.parameters()) / 1e6
        print(f"{name:30} {1000 * value:8.1f} ms   {value / times['dense']:5.2f} of dense   {count:7.1f} M parameters")


if __name__ == "__main__":
    main()
