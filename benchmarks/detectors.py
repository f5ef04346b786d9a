"""Whole detectors on one picture of 800 × 1066 pixels, beside transformers' and torchvision's: seconds and memory.

    python benchmarks/detectors.py
    python benchmarks/detectors.py --only resnet50

`resnet50` with 300 queries, everything it does to name regions among 80 cached names (f_image, g and the comparison),
beside transformers' Deformable DETR and torchvision's Mask R-CNN; `swin_base` with 900 queries and masks of what it
keeps beside transformers' Mask2Former. Random weights everywhere. All run with an allocator that keeps its heap.
Memory is what the forward pass adds to a fresh process that has made the weights, with the default allocator.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import Row, arguments, best_seconds, keep_heap, report
from torch import nn

from uniperceiver.allocator import KEPT_HEAP
from uniperceiver.batches import ImageBatch
from uniperceiver.config import load_config
from uniperceiver.likelihood import log_likelihood
from uniperceiver.model.proposals.outputs import mask_logits
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver

HEIGHT, WIDTH = 800, 1066
NAMES = 80
DETECTION = TaskAttributes(input_image=True, input_text=False)
Forward = Callable[[], object]


def ours(preset: str) -> Forward:
    """Boxes, masks of the kept regions and their names, as detection predicts."""
    model = UniPerceiver(load_config(preset)).eval()
    pixels = model.config.pixels
    picture = torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8)
    images = ImageBatch.from_images([picture], pixels.image_mean, pixels.image_std)
    names = torch.randn(NAMES, model.config.decoder.width)

    def run() -> object:
        features = model.encode_image(images)
        regions = model.decode(features.segment, attributes=DETECTION).segments[0][:, features.regions]
        kept = features.proposals
        assert kept is not None
        masks = mask_logits(kept.mask_embeddings, kept.mask_features) if preset.startswith("swin") else None
        return log_likelihood(regions, names, model.temperature()), kept.boxes, masks

    return run


def deformable_detr() -> Forward:
    from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(out_features=["stage2", "stage3", "stage4"])
    config = DeformableDetrConfig(backbone_config=backbone, num_queries=300)
    return _on_pixels(DeformableDetrForObjectDetection(config).eval())


def mask2former() -> Forward:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    swin = SwinConfig(
        image_size=384, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], window_size=12,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return _on_pixels(Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=swin)).eval())


def mask_rcnn() -> Forward:
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    picture = torch.rand(3, HEIGHT, WIDTH)
    return lambda: model([picture])


def _on_pixels(model: nn.Module) -> Forward:
    pixels = torch.randn(1, 3, HEIGHT, WIDTH)
    return lambda: model(pixel_values=pixels)


BUILD: dict[str, Callable[[], Forward]] = {
    "resnet50": partial(ours, "resnet50"),
    "swin_base": partial(ours, "swin_base"),
    "DeformableDetr": deformable_detr,
    "Mask2Former": mask2former,
    "Mask R-CNN": mask_rcnn,
}


def in_precision(run: Forward, is_bfloat16: bool) -> Forward:
    def reduced() -> object:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bfloat16):
            return run()

    return reduced


def activation_memory(name: str, is_bfloat16: bool, answer: Any) -> None:
    """Run in a fresh process: GB that one forward pass adds to the peak."""
    torch.manual_seed(0)
    run = in_precision(BUILD[name](), is_bfloat16)
    before = _reset_peak()
    run()
    answer.put(_peak() - before)


def _reset_peak() -> float:
    """Forget the peak so far, since making weights needs more than they do; what is resident now, in GB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """The largest resident memory since it was reset, in GB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def in_fresh_process(name: str, is_bfloat16: bool) -> float:
    """`activation_memory` with the default allocator."""
    kept = {key: os.environ.pop(key) for key in KEPT_HEAP if key in os.environ}
    spawn = multiprocessing.get_context("spawn")
    answer = spawn.Queue()
    process = spawn.Process(target=activation_memory, args=(name, is_bfloat16, answer))
    process.start()
    found = answer.get(timeout=1800)  # a process that failed never answers
    process.join()
    os.environ.update(kept)
    return float(found)


def seconds(names: tuple[str, ...], rounds: int) -> dict[str, float]:
    runs = {}
    for name in names:
        run = BUILD[name]()
        runs[name] = in_precision(run, False)
        if name != "Mask R-CNN":
            runs[f"{name} bf16"] = in_precision(run, True)
    found = best_seconds(runs, rounds)
    for name, value in found.items():
        print(f"{name}: {value:.2f} s", flush=True)
    return found


def resnet50_rows(rounds: int) -> list[Row]:
    best = seconds(("resnet50", "DeformableDetr", "Mask R-CNN"), rounds)
    peer, what = best["DeformableDetr"], "R50 detector, 800 × 1066"
    here, reduced = best["resnet50"], best["resnet50 bf16"]
    return [
        Row(f"{what}, fp32", "DeformableDetr fp32", peer / here, 3.0, detail=f"({here:.2f} s against {peer:.2f} s)"),
        Row(f"{what}, bf16", "DeformableDetr fp32", peer / reduced, 4.5, detail=f"({reduced:.2f} s)"),
        Row(f"{what}, fp32", "Mask R-CNN fp32", best["Mask R-CNN"] / here, 1.0, detail=f"({best['Mask R-CNN']:.2f} s)"),
    ]


def swin_rows(rounds: int) -> list[Row]:
    best = seconds(("swin_base", "Mask2Former"), rounds)
    what, here, peer = "Swin-B with masks, 800 × 1066", best["swin_base"], best["Mask2Former"]
    reduced, their_reduced = best["swin_base bf16"], best["Mask2Former bf16"]
    return [
        Row(f"{what}, fp32", "Mask2Former fp32", peer / here, 2.0, detail=f"({here:.2f} s against {peer:.2f} s)"),
        Row(
            f"{what}, bf16", "Mask2Former bf16", their_reduced / reduced, 1.8,
            detail=f"({reduced:.2f} s against {their_reduced:.2f} s)",
        ),
    ]  # fmt: skip


def memory_rows() -> list[Row]:
    peer = in_fresh_process("DeformableDetr", False)
    rows = []
    for is_bfloat16, aim in ((False, 0.45), (True, 0.3)):
        here = in_fresh_process("resnet50", is_bfloat16)
        what = f"activation memory of the R50 detector, {'bf16' if is_bfloat16 else 'fp32'}"
        rows.append(
            Row(what, "DeformableDetr fp32", here / peer, aim, "at most", detail=f"({here:.2f} against {peer:.2f} GB)")
        )
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=["resnet50", "swin_base", "memory"], help="one part")
    given: argparse.Namespace = parser.parse_args()
    keep_heap()
    rounds = 1 if given.quick else 2
    rows = []
    if given.only in (None, "resnet50"):
        rows += resnet50_rows(rounds)
    if given.only == "swin_base" or (given.only is None and not given.quick):
        rows += swin_rows(rounds)
    if given.only in (None, "memory"):
        rows += memory_rows()
    report(rows, given.json)


if __name__ == "__main__":
    main()
