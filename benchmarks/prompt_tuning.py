"""Tab. 2 of the v1 paper in small: an untouched model, prompt tuning and fine-tuning on few examples of real pictures.

    python benchmarks/prompt_tuning.py DATA/cifar10-wds --out runs/prompt_tuning

A v1-shaped model (patches and words straight into one Transformer) is trained from random weights on half of CIFAR-10's
ten classes, and then asked for all ten. Untouched it cannot know the others. It is tuned on 1 % and on 10 % of the
10,000 training pictures, none of which it has seen, with prompts (Eq. (4) included) and as a whole, for as many steps.
Of three learning rates the one is taken that is best on 500 further pictures; the test pictures take part in nothing.
All of it once per seed, with the same pictures. What is done already is not done again. One thread.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean

import torch
import yaml
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, pre_tokenizers

from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import (
    ImageFolderConfig,
    ImageSizeConfig,
    ModelConfig,
    OptimizerConfig,
    PatchEncoderConfig,
    ScheduleConfig,
    StreamConfig,
    TaskConfig,
    TrainConfig,
    TuneConfig,
    UnifiedDecoderConfig,
    WordEmbeddingConfig,
    to_data,
)
from uniperceiver.data.clip_tokenizer import END, SPE
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.data.transforms import test_transform
from uniperceiver.evaluation.evaluate import evaluate
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.task import TaskSetting
from uniperceiver.training.train import train

SEEN = ("airplane", "bird", "cat", "frog", "ship")
"""The classes of the first training; automobile, deer, dog, horse and truck are left for later."""
PICTURES = 10_000
"""All training pictures, of which the shares of Tab. 2 are taken."""
SHARES = (0.01, 0.1)
IMAGE = ImageSizeConfig(train=32, test=32, scale=(0.5, 1.0))
BATCH = 50
RATES = {"PT": (1e-4, 5e-4, 1e-3), "FT": (5e-5, 2e-4, 1e-3)}
"""Learning rates that are tried; those of prompts are those of v1's released configurations."""


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy in [0, 1] among all ten names."""

    validation: float
    test: float


@dataclass(frozen=True)
class Chosen:
    """The learning rate of a tuning that was best in validation; None: untouched."""

    rate: float | None
    accuracy: Accuracy


def extract(shards: Path, out: Path) -> None:
    """Class folders: ``first`` (seen classes, three shards); ``1%``, ``10%``, ``validation`` (the fourth); ``test``."""
    if out.exists():
        return
    fresh = out.with_name("data.writing")
    names = (shards / "classes.txt").read_text("utf-8").split()
    *first, last = sorted(shards.glob("train-*.tar.gz"))
    for shard in first:
        for number, (picture, label) in enumerate(_labelled(shard)):
            if names[label] in SEEN:
                _write(fresh / "first" / names[label] / f"{shard.stem}-{number}.jpg", picture)
    for number, (picture, label) in enumerate(_labelled(next(shards.glob("test-*.tar.gz")))):
        _write(fresh / "test" / names[label] / f"{number}.jpg", picture)
    taken = [0] * len(names)
    for number, (picture, label) in enumerate(_labelled(last)):
        for share in SHARES:
            if taken[label] < share * PICTURES / len(names):
                _write(fresh / f"{share:.0%}" / names[label] / f"{number}.jpg", picture)
        if 100 <= taken[label] < 150:
            _write(fresh / "validation" / names[label] / f"{number}.jpg", picture)
        taken[label] += 1
    fresh.rename(out)


def _labelled(shard: Path) -> list[tuple[bytes, int]]:
    with tarfile.open(shard) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isfile()}
        read = {name: file.read() for name, file in files.items() if file is not None}
    return [(read[name], int(read[f"{name[:-4]}.cls"])) for name in sorted(read) if name.endswith(".jpg")]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_model(out: Path, names: list[str]) -> Path:
    """The small model's configuration, and a tokenizer that knows the class names and v1's two special words."""
    words = ["!", *names, END, SPE]
    raw = RawTokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="!"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    Tokenizer(raw).save(out / "tokenizer.json")
    model = ModelConfig(
        image=PatchEncoderConfig(kind="patches", image_size=32, patch=8, frames=1, position_size=32),
        text=WordEmbeddingConfig(
            kind="words",
            vocabulary_size=len(words),
            positions=8,
            spe_id=len(words) - 1,
            tokenizer=str(out / "tokenizer.json"),
        ),
        decoder=UnifiedDecoderConfig(
            width=128,
            layers=6,
            heads=4,
            feedforward=512,
            drop_path=0.05,
            layer_scale=0.1,
            moe=None,
            type_codes=False,
            text_positions=0,
            own_spe=False,
            input_norm="shared",
        ),
        temperatures=("img_cls",),
    )
    path = out / "model.yaml"
    path.write_text(yaml.safe_dump(to_data(model)), encoding="utf-8")
    return path


def training(model: Path, data: Path, steps: int, learning_rate: float, seed: int) -> TrainConfig:
    """Classification of the class folders in ``data``, as v1 trains: AdamW, clipped, warm-up and cosine."""
    stream = StreamConfig(
        task=TaskConfig(kind="classification", image=IMAGE),
        dataset=ImageFolderConfig(root=str(data)),
        batch_size=BATCH,
        sampling_weight=1.0,
    )
    return TrainConfig(
        model=str(model),
        streams={"pictures": stream},
        schedule=ScheduleConfig(steps=steps, warmup_steps=steps // 20, decay="cosine"),
        optimizer=OptimizerConfig(
            name="adamw", learning_rate=learning_rate, weight_decay=0.05, betas=(0.9, 0.95), clip_norm=1.0
        ),
        seed=seed,
        workers=0,
        log_every=100,
    )


def top1(checkpoint: Path, test: Path) -> float:
    """Accuracy in [0, 1] of a checkpoint among all ten names, on the test pictures."""
    loaded = load_checkpoint(checkpoint)
    dataset = open_dataset(ImageFolderConfig(root=str(test)))
    config = TaskConfig(kind="classification", image=IMAGE)
    setting = TaskSetting(config, loaded.tokenizer, loaded.model.config.pixels)
    task = build_task(setting, find_candidates(setting, dataset))
    transform = test_transform("classification", IMAGE)
    result = evaluate(loaded.model, task, dataset, transform, batch_size=100, show_progress=False)
    return result.metrics["top1"]


def measured(folder: Path, config: TrainConfig, data: Path) -> Accuracy:
    """Train, unless that is done, and give the accuracies, kept in ``accuracy.json``."""
    written = folder / "accuracy.json"
    if not written.is_file():
        checkpoint = train(config, folder, resume=(folder / "checkpoint").is_dir())
        found = Accuracy(top1(checkpoint, data / "validation"), top1(checkpoint, data / "test"))
        written.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return Accuracy(**json.loads(written.read_text("utf-8")))


def tuned(base: TrainConfig, name: str, rate: float) -> TrainConfig:
    """Tuning with prompts, without weight decay as v1 does, or of everything."""
    if name == "FT":
        return replace(base, optimizer=replace(base.optimizer, learning_rate=rate))
    optimizer = replace(base.optimizer, learning_rate=rate, weight_decay=0.0)
    return replace(base, optimizer=optimizer, tune=TuneConfig("prompt"))


def main() -> None:
    """Train, tune, evaluate, and print the table in the shape of Tab. 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="folder with CIFAR-10 as WebDataset shards and classes.txt")
    parser.add_argument("--out", type=Path, default=Path("runs/prompt_tuning"))
    parser.add_argument("--steps", type=int, default=2500, help="of the first training")
    parser.add_argument("--tuning-steps", type=int, default=200, help="of every tuning")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    data = given.out / "data"
    extract(given.shards, data)
    model = write_model(given.out, sorted((given.shards / "classes.txt").read_text("utf-8").split()))
    runs = [run(given.out / f"seed-{seed}", model, data, given.steps, given.tuning_steps, seed) for seed in given.seeds]
    Console().print(table(runs))


def run(out: Path, model: Path, data: Path, steps: int, tuning_steps: int, seed: int) -> dict[str, Chosen]:
    """The rows of the table with one seed."""
    first = measured(out / "first", training(model, data / "first", steps, 1e-3, seed), data)
    rows = {"w/o tuning": Chosen(None, first)}
    for share, name in product(SHARES, RATES):
        base = training(out / "first" / "checkpoint", data / f"{share:.0%}", tuning_steps, 1e-3, seed)
        tried = [
            Chosen(rate, measured(out / f"{name}-{share:.0%}-{rate:g}", tuned(base, name, rate), data))
            for rate in RATES[name]
        ]
        rows[f"{name} ({share:.0%})"] = max(tried, key=lambda chosen: chosen.accuracy.validation)
    return rows


def table(runs: list[dict[str, Chosen]]) -> Table:
    """Top-1 accuracy in percent on the test pictures, mean, least and most over the seeds."""
    shown = Table("tuning", "rates", "mean", "least", "most", title=f"{len(SEEN)} of 10 classes seen before")
    for name in runs[0]:
        rates = ", ".join(f"{run[name].rate:g}" for run in runs if run[name].rate is not None)
        accuracies = [100 * run[name].accuracy.test for run in runs]
        figures = [f"{figure:.1f}" for figure in (fmean(accuracies), min(accuracies), max(accuracies))]
        shown.add_row(name, rates, *figures)
    return shown


if __name__ == "__main__":
    main()
