"""Multi-scale deformable attention on a processor: the C kernel and plain PyTorch against transformers' fallback.

    python benchmarks/deformable_attention.py
    python benchmarks/deformable_attention.py --keep-heap

The sides take turns in one process; what is printed is the ratio of the best times to transformers'. Only the sampling
is timed, no matrix products. With `--keep-heap` all sides run with an allocator that returns no memory to the system,
which spares the fallback the page faults of its large temporaries; gradients are compared as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from measuring import Row, arguments, best_seconds, keep_heap, report
from torch import Tensor
from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

from uniperceiver.allocator import KEPT_HEAP
from uniperceiver.model.layers.deformable_attention import sample_levels_with_pytorch
from uniperceiver.model.layers.deformable_attention_kernel import load_kernel, sample_levels_with_kernel

COCO = [(100, 134), (50, 67), (25, 34), (13, 17)]  # strides 8 to 64 of 800 x 1066 pixels
NANO = [(20, 20), (10, 10), (5, 5), (3, 3)]  # of 160 x 160 pixels
Sampling = Callable[[Tensor, list[tuple[int, int]], Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """Maps of `shapes`; every cell is a query that looks around itself, or `queries` look anywhere."""

    name: str
    shapes: list[tuple[int, int]]
    batch: int
    heads: int
    width: int
    queries: int | None = None
    aims: tuple[tuple[float | None, ...], tuple[float | None, ...]] = ((None, None), (None, None))
    """What is asked of the kernel and of the plain path, forward; and with gradients; all sides keeping their heap."""
    default_allocator_aim: float | None = None
    """What is asked of the kernel forward where memory goes back to the system."""

    def asked(self, is_training: bool) -> tuple[float | None, ...]:
        """The aims for the kernel and the plain path under this process's allocator."""
        if KEPT_HEAP.items() <= os.environ.items():
            return self.aims[is_training]
        return (None if is_training else self.default_allocator_aim, None)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Value, locations and weights; 4 points, offsets of about two cells."""
        tokens = sum(h * w for h, w in self.shapes)
        queries = tokens if self.queries is None else self.queries
        value = torch.randn(self.batch, tokens, self.heads, self.width)
        references = cell_centres(self.shapes) if self.queries is None else torch.rand(queries, 2)
        sizes = torch.tensor([(w, h) for h, w in self.shapes])[:, None]
        offsets = 2 * torch.randn(self.batch, queries, self.heads, len(self.shapes), 4, 2) / sizes
        weights = torch.randn(self.batch, queries, self.heads, len(self.shapes) * 4).softmax(dim=-1)
        return value, references[:, None, None, None] + offsets, weights.unflatten(-1, (len(self.shapes), 4))


def cell_centres(shapes: list[tuple[int, int]]) -> Tensor:
    """(S, 2), (x, y) in [0, 1]."""
    levels = [torch.cartesian_prod((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w) for h, w in shapes]
    return torch.cat(levels).flip(-1)


def sample_with_transformers(
    value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    sizes = torch.tensor(shapes)
    starts = torch.cat([sizes.new_zeros(1), sizes.prod(dim=1).cumsum(dim=0)[:-1]])
    return MultiScaleDeformableAttention()(value, sizes, shapes, starts, locations, weights, 64)


def sample_with_kernel(value: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    return sample_levels_with_kernel(value, [size for shape in shapes for size in shape], locations, weights)


def run(sampling: Sampling, case: Case, inputs: tuple[Tensor, Tensor, Tensor], is_training: bool) -> None:
    value, locations, weights = (x.detach().requires_grad_(is_training) for x in inputs)
    out = sampling(value, case.shapes, locations, weights)
    if is_training:
        out.backward(torch.ones_like(out))


def compare(case: Case, sides: dict[str, Sampling], is_training: bool, rounds: int) -> list[Row]:
    """Print each side's best milliseconds and how many times faster than the first side it is; rows of the table."""
    inputs = case.inputs()
    best = best_seconds({name: partial(run, side, case, inputs, is_training) for name, side in sides.items()}, rounds)
    peer = next(iter(best.values()))
    cells = [f"{name} {1000 * value:8.2f} ms {peer / value:6.2f}x" for name, value in best.items()]
    print(f"{case.name:38s} {'fwd+bwd' if is_training else 'fwd':8s}", " | ".join(cells), flush=True)
    what = f"deformable attention, {case.name}, {'forward + backward' if is_training else 'forward'}"
    what += "" if KEPT_HEAP.items() <= os.environ.items() else ", default allocator"
    return [
        Row(
            what if name == "kernel" else f"{what}, without a compiler",
            "transformers' fallback",
            peer / best[name],
            aim,
            detail=f"({1000 * best[name]:.1f} against {1000 * peer:.1f} ms)",
        )
        for name, aim in zip(("kernel", "PyTorch"), case.asked(is_training), strict=True)
        if name in best and aim is not None
    ]


def gradients(sampling: Sampling, case: Case, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Of maps, locations and weights, for a result that counts with weights between 0.5 and 1.5."""
    leaves = tuple(x.detach().requires_grad_() for x in inputs)
    out = sampling(leaves[0], case.shapes, *leaves[1:])
    return torch.autograd.grad(out, leaves, torch.linspace(0.5, 1.5, out.numel()).view_as(out))


def off_the_kinks(locations: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
    """The same locations, those within a thousandth of a cell of a cell's centre moved by two.

    There bilinear interpolation has a kink: its gradient jumps, and rounding decides on which side a point lies.
    """
    sizes = torch.tensor([(w, h) for h, w in shapes])[:, None]
    cells = locations * sizes - 0.5
    return locations + 2e-3 * ((cells - cells.round()).abs() < 1e-3) / sizes


def gradient_row(case: Case, sides: dict[str, Sampling]) -> Row:
    """The largest difference of a gradient from transformers', relative to that gradient's largest number."""
    value, locations, weights = case.inputs()
    inputs = (value, off_the_kinks(locations, case.shapes), weights)
    expected, *others = (gradients(side, case, inputs) for side in sides.values())
    error = max(
        float((x - y).abs().max() / y.abs().max()) for found in others for x, y in zip(found, expected, strict=True)
    )
    what = f"deformable attention, {case.name}, gradients"
    return Row(what, "difference × 1e5 from transformers'", 1e5 * error, 1.0, "at most", "")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--keep-heap", action="store_true", help="start again with an allocator that keeps its memory")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    if given.keep_heap:
        keep_heap()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    kernel = load_kernel()
    print(f"{given.threads} threads, kernel: {'not built' if kernel is None else f'{kernel.lanes} lanes'}")
    print("allocator:", {name: os.environ[name] for name in KEPT_HEAP if name in os.environ} or "default")
    sides: dict[str, Sampling] = {"transformers": sample_with_transformers, "PyTorch": sample_levels_with_pytorch}
    if kernel is not None:
        sides["kernel"] = sample_with_kernel
    cases = [
        Case(
            "encoder, 17,821 queries",
            COCO,
            batch=1,
            heads=8,
            width=32,
            aims=((25, 1.6), (15, 1)),
            default_allocator_aim=35,
        ),
        Case("decoder, 900 queries", COCO, batch=1, heads=8, width=32, queries=900, aims=((12, 1.6), (8, 1))),
        Case("nano's encoder, 12 x 534 queries", NANO, batch=12, heads=4, width=32),
        Case("nano's decoder, 12 x 100 queries", NANO, batch=12, heads=4, width=32, queries=100),
    ]
    rows = [gradient_row(case, sides) for case in cases[:2]] if given.keep_heap else []
    for case in cases[:2] if given.quick else cases:
        for is_training in (False, True):
            with torch.set_grad_enabled(is_training):
                rows += compare(case, sides, is_training, 2 if given.quick else given.rounds)
    report(rows, given.json)


if __name__ == "__main__":
    main()
