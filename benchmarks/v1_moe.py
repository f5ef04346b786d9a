"""Uni-Perceiver-MoE folded for deployment, beside the same model with its experts and beside a dense one.

    python benchmarks/v1_moe.py --layers 4

One process, random weights, pictures of 224 pixels; the base model's width. "merging" makes the weights of each stream
anew in every pass, as training does and the official code does always. Times are of the processor, so that other work
on the machine does not count.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from measuring import Row, arguments, best_seconds, report

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


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
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
        "kept": lambda: represent(experts),
        "merging": lambda: represent(experts, with_gradients=True),
    }
    times = best_seconds(runs, 3 if given.quick else 9, time.process_time)
    print(f"largest difference of folded and unfolded representations: {difference:.1e}")

    def row(what: str, name: str, aim: float) -> Row:
        detail = f"({1e3 * times[name]:.0f} against {1e3 * times['dense']:.0f} ms)"
        return Row(f"v1-MoE, {what}", "dense v1", times[name] / times["dense"], aim, "at most", detail=detail)

    rows = [
        row("folded", "folded", 1.05),
        row("merged weights kept", "kept", 1.05),
        row("merging in every pass", "merging", 1.4),
    ]
    report(rows, given.json)


if __name__ == "__main__":
    main()
