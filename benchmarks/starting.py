"""How long one waits: `uniperceiver --help`, and the first prediction of a `nano` model from a cold start.

    python benchmarks/starting.py
    python benchmarks/starting.py --model runs/demo/checkpoint

Each in a process of its own, Python's own start included; the best of a few. Without --model a checkpoint with random
weights is written first. The cache of encodings is an empty folder. "Cold" means a new process: files may be in the
system's memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import Row, arguments, report
from PIL import Image

from uniperceiver.checkpoint import Checkpoint, save_checkpoint
from uniperceiver.config import ImageSizeConfig, TaskConfig, load_config
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.stored_tasks import StoredTask


def write_checkpoint(folder: Path) -> Path:
    """A `nano` with random weights that classifies among three names."""
    config = load_config("nano")
    tasks = {"labels": StoredTask(TaskConfig("classification", image=ImageSizeConfig(test=160)), ("dog", "cat", "car"))}
    tokenizer = Tokenizer.from_source(config.text.pretrained)
    save_checkpoint(Checkpoint(UniPerceiver(config), tokenizer, tasks), folder / "nano")
    return folder / "nano"


def seconds(command: list[str], cache: Path, times: int) -> float:
    """The least time of a process of its own."""
    best = float("inf")
    for number in range(times):
        began = time.perf_counter()
        environment = os.environ | {"UNIPERCEIVER_CACHE": str(cache / str(number))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        best = min(best, time.perf_counter() - began)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return best


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path, help="a checkpoint folder")
    given = parser.parse_args()
    program = [sys.executable, "-m", "uniperceiver"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        picture = place / "picture.png"
        Image.effect_noise((320, 240), 60).convert("RGB").save(picture)
        model = given.model or write_checkpoint(place)
        helped = seconds([*program, "--help"], place, 3)
        predicted = seconds([*program, "classify", str(picture), "--model", str(model)], place, 2)
    rows = [
        Row("uniperceiver --help", "the clock", helped, 0.5, "at most", " s"),
        Row("first prediction of nano, cold", "the clock", predicted, 5.0, "at most", " s"),
    ]
    report(rows, given.json)


if __name__ == "__main__":
    main()
