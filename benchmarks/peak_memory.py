"""Peak memory and time of a preset on one picture: a forward, and a detection training step.

    python benchmarks/peak_memory.py swin_base

Each case runs in a process of its own, so that its peak is its own; weights are random. Prints one line per case.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

import torch

from uniperceiver.batches import ImageBatch, ObjectTargets
from uniperceiver.config import ProposalLossConfig, load_config
from uniperceiver.likelihood import negative_log_likelihood
from uniperceiver.losses.proposal_loss import proposal_loss
from uniperceiver.model.proposals.denoising import make_denoising_queries
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.training.metrics_log import peak_memory_gb

DETECTION = TaskAttributes(input_image=True, input_text=False)


def picture(height: int, width: int) -> ImageBatch:
    """One random picture."""
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    config = load_config("swin_base").image.backbone
    return ImageBatch.from_images([image], config.image_mean, config.image_std)


def forward(preset: str, height: int, width: int) -> None:
    """Encode and decode one picture without gradients."""
    model = UniPerceiver(load_config(preset)).eval()
    print(f"{preset}: weights alone {peak_memory_gb():.2f} GB", flush=True)
    with torch.inference_mode():
        began = time.perf_counter()
        model.decode(model.encode_image(picture(height, width)).segment, attributes=DETECTION)
        seconds = time.perf_counter() - began
    print(f"{preset}: forward {height} x {width}: {seconds:.1f} s, peak {peak_memory_gb():.2f} GB", flush=True)


def training_step(preset: str, side: int, objects: int) -> None:
    """Forward and backward of the detection losses on one square picture, 80 names encoded with gradient."""
    model = UniPerceiver(load_config(preset)).train()
    proposals = model.config.image.proposals
    assert proposals is not None
    boxes = torch.rand(objects, 4) * 0.3 + 0.2
    masks = torch.rand(objects, side, side) < 0.5
    targets = [ObjectTargets(boxes, masks, torch.arange(objects), "random", torch.ones(objects, dtype=torch.bool))]
    began = time.perf_counter()
    denoising = make_denoising_queries(targets, proposals.denoising, proposals.queries)
    perception = model.f_image.propose(picture(side, side), denoising)
    assert perception.output is not None
    losses = proposal_loss(perception.output, targets, denoising, ProposalLossConfig())
    features = model.f_image.represent(perception)
    decoded = model.decode(features.segment, attributes=DETECTION).segments[0][0, features.regions]
    # 80 names of three tokens each, as COCO's have about; any ids do.
    names = CandidateSet([f"{i}" for i in range(80)], [(0, 100 + i, 200 + i, 300 + i, 2) for i in range(80)], (), 1)
    named = negative_log_likelihood(
        decoded[:objects], names.encode(model, DETECTION), model.temperature(), torch.arange(objects)
    )
    (torch.stack(list(losses.weighted.values())).sum() + named.mean()).backward()
    seconds = time.perf_counter() - began
    print(f"{preset}: detection step {side} x {side}: {seconds:.1f} s, peak {peak_memory_gb():.2f} GB", flush=True)


def main() -> None:
    """Measure both cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="swin_base")
    preset = parser.parse_args().preset
    spawn = multiprocessing.get_context("spawn")
    for case, arguments in ((forward, (preset, 800, 1066)), (training_step, (preset, 512, 8))):
        process = spawn.Process(target=case, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{case.__name__} failed with exit code {process.exitcode}")


if __name__ == "__main__":
    main()
