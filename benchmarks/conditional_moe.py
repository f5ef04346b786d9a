"""A feed-forward with Conditional MoE beside a plain one: folded for deployment, and merging its experts in training.

    python benchmarks/conditional_moe.py

400 tokens, width 768, hidden width 3072, eight experts of which two are chosen, one stream, float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from measuring import Row, arguments, best_seconds, keep_heap, report
from torch import Tensor

from uniperceiver.config import MoEConfig
from uniperceiver.model.conditional_moe import Bits, ConditionalPair, FoldedPair, LinearPair, apply_by_stream

TOKENS, WIDTH, HIDDEN = 400, 768, 3072
STREAM: Bits = (1, 0, 0, 1, 1, 0, 0, 0)


def forward(pair: LinearPair | ConditionalPair | FoldedPair, x: Tensor) -> Tensor:
    weights = pair.weights([STREAM])
    hidden = F.gelu(apply_by_stream(x, [weights[0].first], [x.shape[1]]))
    return apply_by_stream(hidden, [weights[0].second], [x.shape[1]])


def inference(pair: LinearPair | ConditionalPair | FoldedPair, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            return forward(pair, x)

    return run


def training(pair: LinearPair | ConditionalPair, x: Tensor) -> Callable[[], None]:
    return lambda: forward(pair, x).square().mean().backward()


def main() -> None:
    given = arguments(__doc__).parse_args()
    keep_heap()
    rounds = 10 if given.quick else 40
    torch.manual_seed(0)
    x = torch.randn(1, TOKENS, WIDTH)
    plain = LinearPair(WIDTH, HIDDEN, HIDDEN)
    experts = ConditionalPair(WIDTH, HIDDEN, HIDDEN, MoEConfig()).eval()
    folded = experts.fold([STREAM])
    with torch.inference_mode():
        difference = float((forward(folded, x) - forward(experts, x)).abs().max())
    print(f"largest difference of folded and merged: {difference:.0e}")
    still = best_seconds(
        {"plain": inference(plain, x), "folded": inference(folded, x), "kept": inference(experts, x)}, rounds
    )
    trained = best_seconds({"plain": training(plain, x), "merging": training(experts, x)}, rounds // 2)
    rows = [
        Row("Conditional MoE, folded", "plain feed-forward", still["folded"] / still["plain"], 1.05, "at most",
            detail=f"({1e3 * still['folded']:.1f} against {1e3 * still['plain']:.1f} ms)"),
        Row("Conditional MoE, merged weights kept", "plain feed-forward", still["kept"] / still["plain"], 1.05,
            "at most"),
        Row("Conditional MoE, training", "plain feed-forward", trained["merging"] / trained["plain"], 1.4, "at most",
            detail=f"({1e3 * trained['merging']:.1f} against {1e3 * trained['plain']:.1f} ms)"),
    ]  # fmt: skip
    report(rows, given.json)


if __name__ == "__main__":
    main()
