"""What makes a training step of `nano` quicker on a processor, each beside what it replaces, in one run.

    python benchmarks/nano_training.py

Forward and backward pass in bfloat16 autocast, alternated, medians of process time: the backbone with batch norms in
its convolutions and with timm's frozen ones, attention as plain products and by PyTorch's fused operator, and g read
at <SPE> alone and at every token.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import timm
import torch
import torch.nn.functional as F
from measuring import Row, arguments, report
from timm.layers import freeze_batch_norm_2d
from torch import Tensor

from uniperceiver.config import load_config
from uniperceiver.model.layers.attention import attend
from uniperceiver.model.layers.frozen_batch_norm import fold_frozen_norms
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.unified_decoder import UnifiedDecoder

BACKBONE = "tf_efficientnet_lite0"
PICTURES = ((24, 128), (12, 160))
SEQUENCES = ((24, 30), (80, 5))
"""Pictures of a step of classification, and its names."""
ATTENTIONS = ((24, 4, 67, 64), (12, 4, 160, 32), (14, 4, 136, 64), (48, 4, 48, 64))


def compare(new: Callable[[], None], old: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median process seconds of each, alternated."""
    times: tuple[list[float], list[float]] = ([], [])
    for measured in range(rounds + 1):
        for kept, run in zip(times, (new, old), strict=True):
            began = time.process_time()
            run()
            if measured:
                kept.append(time.process_time() - began)
    return statistics.median(times[0]), statistics.median(times[1])


def backbone_step(network: torch.nn.Module, pictures: Tensor) -> Callable[[], None]:
    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            maps = network(pictures)
        torch.stack([level.float().square().mean() for level in maps]).sum().backward()

    return step


def attention_step(product: Callable[..., Tensor], shape: tuple[int, ...]) -> Callable[[], None]:
    query, key, value = (torch.randn(shape, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    return lambda: product(query, key, value).sum().backward()


def decoder_step(decoder: UnifiedDecoder, tokens: Tensor, reads_all: bool) -> Callable[[], None]:
    segment = Segment(tokens, torch.zeros(tokens.shape[:2], dtype=torch.bool), "image")
    attributes = TaskAttributes(input_image=True, input_text=False)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            spe = decoder([segment], attributes).spe if reads_all else decoder.summary([segment], attributes)
        spe.float().square().sum().backward()

    return step


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.rounds = 2 if given.quick else given.rounds
    plain, folded = (freeze_batch_norm_2d(timm.create_model(BACKBONE, features_only=True)) for _ in range(2))
    fold_frozen_norms(folded)
    rows = []
    for number, side in PICTURES:
        pictures = torch.randn(number, 3, side, side)
        new = backbone_step(folded, pictures.contiguous(memory_format=torch.channels_last))
        rows.append((f"backbone, {number} × {side}²", *compare(new, backbone_step(plain, pictures), given.rounds)))
    for shape in ATTENTIONS:
        new, old = attention_step(attend, shape), attention_step(F.scaled_dot_product_attention, shape)
        rows.append((f"attention, {shape}", *compare(new, old, given.rounds)))
    decoder = UnifiedDecoder(load_config("nano").decoder)
    for shape in SEQUENCES:
        tokens = torch.randn(*shape, decoder.width)
        new, old = (decoder_step(decoder, tokens, reads_all) for reads_all in (False, True))
        print("g at <SPE>, {} × {} tokens: {:.4f} s, at all {:.4f} s".format(*shape, *compare(new, old, given.rounds)))
    print(f"torch {torch.__version__}, {given.threads} threads; seconds")
    for name, ours, theirs in rows:
        print(f"{name:32} {ours:8.4f} {theirs:8.4f}   {theirs / ours:.1f}×")
    against = "what it replaces"
    report([Row(f"nano training, {name}", against, theirs / ours, 2.0) for name, ours, theirs in rows], given.json)


if __name__ == "__main__":
    main()
