"""What bfloat16 and dynamic int8 cost in quality: a checkpoint evaluated on its own held-out data in each.

    python benchmarks/precision_quality.py runs/demo/checkpoint
    python benchmarks/precision_quality.py runs/demo/checkpoint --stream objects --stream labels

int8: weights of linear layers per output in eight bits, inputs quantised where they come, by PyTorch's dynamic
quantisation; everything else stays in float32. Processor seconds are of the whole evaluation, scoring included.
"""

from __future__ import annotations

import argparse
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uniperceiver.checkpoint import Checkpoint, load_checkpoint
from uniperceiver.config import StreamConfig
from uniperceiver.data.datasets import Dataset, open_dataset
from uniperceiver.data.transforms import test_transform
from uniperceiver.evaluation.evaluate import evaluate
from uniperceiver.linear import QuickLinear
from uniperceiver.tasks import build_task
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import TaskSetting

SHOWN = {
    "detection": ("box_ap", "box_ap50", "mask_ap"),
    "classification": ("top1",),
    "captioning": ("cider_d", "name_f1"),
    "retrieval": ("image_to_text_r1", "text_to_image_r1"),
    "masked_language_modeling": ("top1",),
    "visual_question_answering": ("accuracy",),
}
PRECISIONS = ("float32", "bfloat16", "int8")


class Int8Linear(nn.Module):
    """A linear layer of eight-bit weights in the place of a float one; ``weight`` stays for those who ask its type."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        kind = torch.ao.nn.quantized.dynamic.Linear
        plain = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None)
        plain.load_state_dict(linear.state_dict())
        plain.qconfig = torch.ao.quantization.per_channel_dynamic_qconfig  # type: ignore[assignment]
        self.quantised = kind.from_float(plain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        return self.quantised(x)


def to_int8(model: nn.Module) -> None:
    """Every linear layer that is called as a module, in place; the maps of g's layers are not, and stay."""
    for name, module in list(model.named_modules()):
        if type(module) is QuickLinear and ".stack" not in name and not name.startswith("g.layers"):
            model.set_submodule(name, Int8Linear(module))


def context(precision: str) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext()


def metrics(checkpoint: Checkpoint, name: str, stream: StreamConfig, dataset: Dataset) -> dict[str, float]:
    stored = checkpoint.tasks[name]
    candidates = CandidateSet.restored(stored.texts, stored.token_ids, checkpoint.tokenizer)
    setting = TaskSetting(stream.task, checkpoint.tokenizer, checkpoint.model.config.pixels)
    task, transform = build_task(setting, candidates), test_transform(stream.task.kind, stream.task.image)
    result = evaluate(
        checkpoint.model, task, dataset, transform, batch_size=stream.batch_size, show_progress=False
    )  # fmt: skip
    return {key: value for key, value in result.metrics.items() if key in SHOWN.get(stream.task.kind, ())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--stream", action="append", help="only these streams; repeatable")
    parser.add_argument("--images", type=int, help="only so many pictures of composed scenes")
    given = parser.parse_args()
    config = load_checkpoint(given.checkpoint).training
    if config is None:
        raise SystemExit(f"{given.checkpoint} does not say what it was trained on")
    print("| stream | figure | " + " | ".join(PRECISIONS) + " |\n|---|---|" + "---|" * len(PRECISIONS))
    for name, stream in config.streams.items():
        if stream.evaluation is None or (given.stream and name not in given.stream):
            continue
        data = stream.evaluation if given.images is None else replace(stream.evaluation, images=given.images)
        found: dict[str, dict[str, float]] = {}
        for precision in PRECISIONS:
            checkpoint = load_checkpoint(given.checkpoint)
            if precision == "int8":
                to_int8(checkpoint.model)
            began = time.process_time()
            with context(precision):
                found[precision] = metrics(checkpoint, name, stream, open_dataset(data))
            found[precision]["processor seconds"] = time.process_time() - began
        for figure in found["float32"]:
            cells = " | ".join(f"{found[precision][figure]:.4g}" for precision in PRECISIONS)
            print(f"| {name} | {figure} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
