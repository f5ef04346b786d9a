"""How seconds and memory grow with the size of the picture, labels, words, batch and queries; curves with a power law.

    python benchmarks/growth.py --out docs/images/growth.svg

`nano` with random weights, one thread, float32, the best of a few rounds. Memory is the largest resident memory that
the computation adds, in a process of its own. The power law is a straight line through the logarithms of the upper half
of the sizes, where what is constant counts least.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import arguments, best_seconds

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import load_config
from uniperceiver.likelihood import log_likelihood
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet

DETECTION = TaskAttributes(input_image=True, input_text=False)
CAPTION = TaskAttributes(input_image=True, input_text=True)
Run = Callable[[], object]


def pictures(number: int, side: int) -> ImageBatch:
    return ImageBatch(torch.randn(number, 3, side, side), torch.zeros(number, side, side, dtype=torch.bool))


def looking(number: int = 1, side: int = 224, queries: int = 40) -> Run:
    """f_image and g of pictures."""
    config = load_config("nano")
    image = config.image
    image = replace(image, proposals=replace(image.proposals, queries=queries, kept=queries))
    model, batch = UniPerceiver(replace(config, image=image)).eval(), pictures(number, side)
    return lambda: model.decode(model.encode_image(batch).segment, attributes=DETECTION)


def naming(labels: int) -> Run:
    """A set of names encoded for the first time, and 40 regions compared with it."""
    model = UniPerceiver(load_config("nano")).eval()
    generator = torch.Generator().manual_seed(0)
    rows = [(101, *torch.randint(1000, 30000, (1 + n % 4,), generator=generator).tolist(), 102) for n in range(labels)]
    regions = torch.randn(40, model.config.decoder.width)

    def run() -> object:
        names = CandidateSet([str(n) for n in range(labels)], rows, (), 0).encode(model, DETECTION)
        return log_likelihood(regions, names, 0.07)

    return run


def writing(words: int) -> Run:
    """A caption word by word, among 30,522 words."""
    model = UniPerceiver(load_config("nano")).eval()
    vocabulary = torch.randn(model.config.text.vocabulary_size, model.config.decoder.width)
    seen = model.encode_image(pictures(1, 224)).segment

    def run() -> None:
        text_cache, cache = KeyValues(), model.prefill(seen, attributes=CAPTION)
        for place in range(words):
            ids = torch.tensor([[103] if place == 0 else [2000 + place, 103]])
            is_slot = ids == 103
            positions = torch.arange(place + 1 - ids.shape[1], place + 1)[None]
            text = TextBatch(ids, torch.zeros_like(is_slot), positions, is_slot, causal=True)
            segment, text_cache = model.f_text.step(text, text_cache)
            decoded, cache = model.g.step(segment, CAPTION, cache)
            log_likelihood(decoded[:, -1], vocabulary, 0.07)

    return run


SCALES: dict[str, tuple[Callable[[int], Run], tuple[int, ...]]] = {
    "side of the picture, pixels": (lambda side: looking(side=side), (128, 256, 384, 512, 768, 1024)),
    "labels": (naming, (1, 10, 100, 1000, 3000, 10_000)),
    "words of a caption": (writing, (1, 5, 10, 20, 40)),
    "pictures of a batch": (lambda number: looking(number=number), (1, 2, 4, 8, 16)),
    "queries": (lambda queries: looking(queries=queries), (20, 40, 100, 300, 700)),
}


@dataclass(frozen=True)
class Growth:
    """One scale, measured."""

    name: str
    sizes: tuple[int, ...]
    seconds: list[float]
    megabytes: list[float]

    def exponents(self) -> tuple[float, float]:
        """Of seconds and of memory, fitted to the upper half of the sizes."""
        return power(self.sizes, self.seconds), power(self.sizes, self.megabytes)


def power(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent p of values ∝ sizes^p over the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(np.maximum(values[half:], 1e-9)), 1)[0])


def measure(name: str, size: int, rounds: int, answer: Any) -> None:
    """In a process of its own: the best seconds, and the megabytes that the first run adds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        run = SCALES[name][0](size)
        Path("/proc/self/clear_refs").write_text("5")
        before = peak()
        run()
        added = peak() - before
        answer.put((best_seconds({"run": run}, rounds)["run"], added))


def peak() -> float:
    """The largest resident memory since it was reset, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def grown(name: str, rounds: int, is_quick: bool) -> Growth:
    sizes = SCALES[name][1][: 3 if is_quick else None]
    spawn = multiprocessing.get_context("spawn")
    found = []
    for size in sizes:
        answer = spawn.Queue()
        process = spawn.Process(target=measure, args=(name, size, rounds, answer))
        process.start()
        found.append(answer.get(timeout=600))
        process.join()
    growth = Growth(name, sizes, [seconds for seconds, _ in found], [megabytes for _, megabytes in found])
    time_power, memory_power = growth.exponents()
    cells = ", ".join(
        f"{s}: {t:.3f} s {m:.0f} MB" for s, t, m in zip(sizes, growth.seconds, growth.megabytes, strict=True)
    )
    print(f"| {name} | {cells} | {time_power:.2f} | {memory_power:.2f} |", flush=True)
    return growth


def draw(growths: Sequence[Growth], out: Path) -> None:
    """Seconds and megabytes over each scale, on logarithmic axes."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(growths), figsize=(3 * len(growths), 5), squeeze=False)
    for column, growth in enumerate(growths):
        for row, (values, unit, exponent) in enumerate(
            zip((growth.seconds, growth.megabytes), ("s", "MB"), growth.exponents(), strict=True)
        ):
            axes[row][column].loglog(growth.sizes, np.maximum(values, 1e-3), "o-", color="#0b5394")
            axes[row][column].set_title(f"{unit} ∝ n^{exponent:.2f}", fontsize=9)
            axes[row][column].set_xlabel(growth.name, fontsize=8)
    figure.tight_layout()
    figure.savefig(out)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, help="a picture of the curves; its suffix says the format")
    given = parser.parse_args()
    print("| n | seconds and memory | power of time | power of memory |\n|---|---|---|---|")
    growths = [grown(name, 1 if given.quick else 3, given.quick) for name in SCALES]
    if given.out is not None:
        draw(growths, given.out)


if __name__ == "__main__":
    main()
