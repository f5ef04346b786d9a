"""Each task of a joint training beside a specialist: what a user would pick, same encoders, same data, same time.

    python benchmarks/specialists.py demo --minutes 15 --ours runs/demo/report.json --out runs/specialists-demo
    python benchmarks/specialists.py realdata --minutes 10 --ours runs/realdata/report.json \\
        --out runs/specialists-realdata --path cifar=DATA/cifar10-wds --path imagenet=DATA/imagenet-sample \\
        --path coco=DATA/coco128 --path flickr=DATA/flickr8k-700

Every specialist gets the *whole* time of the joint training for its one task, the batch size, the augmentation and the
evaluation of its stream, AdamW with warm-up and cosine, and one learning rate that was not tuned, as ours was not for
any one task. Finished specialists are not trained again: an interrupted run goes on with the next one. The table comes
from what is finished; ``--stream`` and ``--minutes 0.1`` try it out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from specialist_detector import RegionDetector
from specialist_networks import (
    AnswerClassifier,
    Captioner,
    DualEncoder,
    FineTuned,
    Ingredients,
    LinearProbe,
    WordFiller,
)
from torch import nn

from uniperceiver.cli.options import named_paths
from uniperceiver.config import Precision, ScheduleConfig, StreamConfig, TrainConfig, load_train_config
from uniperceiver.data.datasets import Dataset, open_dataset
from uniperceiver.data.loading import Batches, endless
from uniperceiver.data.transforms import test_transform, train_transform
from uniperceiver.demo import demo_config
from uniperceiver.evaluation.evaluate import evaluate
from uniperceiver.evaluation.report import percent
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.precision import computed_in, reduced
from uniperceiver.tasks import build_task, find_candidates
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.task import Task, TaskSetting
from uniperceiver.training.schedule import learning_rate_factor, set_learning_rates, training_progress
from uniperceiver.training.train import initial

SPECIALISTS: dict[str, dict[str, type[nn.Module]]] = {
    "detection": {"Mask R-CNN, FPN": RegionDetector},
    "classification": {"linear probe": LinearProbe, "fine-tuned classifier": FineTuned},
    "retrieval": {"dual encoder, InfoNCE": DualEncoder},
    "captioning": {"Transformer captioner": Captioner},
    "visual_question_answering": {"answer classifier": AnswerClassifier},
    "masked_language_modeling": {"MiniLM with a word layer": WordFiller},
}
SHOWN = {
    "detection": ("box_ap50", "agnostic_box_ap50", "mask_ap50"),
    "classification": ("top1", "top5"),
    "retrieval": ("image_to_text_r1", "text_to_image_r1"),
    "captioning": ("cider_d", "name_f1"),
    "visual_question_answering": ("accuracy", "accuracy_what"),
    "masked_language_modeling": ("top1",),
}
"""Metrics in the table; of those that a data set does not have, none."""
LEARNING_RATE = 5e-4
"""AdamW's usual one for small new layers on trained encoders…"""
ENCODER_SCALE = 0.1
"""…and the part of it that the encoders get, as in the joint training."""
WARMUP_STEPS = 50
CLIP_NORM = 1.0


@dataclass(frozen=True)
class SpecialistTask:
    """A specialist as `evaluate` wants it: the task's data and candidates, the specialist's predictions."""

    task: Task

    @property
    def candidates(self) -> CandidateSet:
        """The task's."""
        return self.task.candidates

    def collate(self, records: Sequence[Any]) -> Any:
        """The task's."""
        return self.task.collate(records)

    def predict(self, model: Any, batch: Any) -> list[Any]:
        """The specialist's."""
        return model.predict(batch)


def ingredients(config: TrainConfig, stream: StreamConfig, training: Dataset) -> tuple[Ingredients, Task]:
    """Fresh pre-trained encoders, and the stream's task with its candidates."""
    start = initial(config)
    model = start.model
    assert isinstance(model.f_image, ImageEncoder)
    assert isinstance(model.f_text, TextEncoder)
    setting = TaskSetting(stream.task, start.tokenizer, model.config.pixels)
    task = build_task(setting, find_candidates(setting, training))
    parts = Ingredients(model.f_image.backbone, model.f_text, start.tokenizer, task.candidates, stream.task.max_tokens)
    return parts, task


def build_optimizer(network: nn.Module, parts: Ingredients) -> torch.optim.Optimizer:
    """AdamW with a lower rate for the encoders."""
    of_encoders = {id(p) for encoder in (parts.backbone, parts.text) for p in encoder.parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = []
    for are_encoders, rate in ((False, LEARNING_RATE), (True, ENCODER_SCALE * LEARNING_RATE)):
        members = [p for p in trained if (id(p) in of_encoders) == are_encoders]
        if members:
            groups.append({"params": members, "lr": rate, "initial_lr": rate})
    return torch.optim.AdamW(groups, weight_decay=1e-2)


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches[Any],
    schedule: ScheduleConfig,
    precision: Precision,
) -> int:
    """Train for ``schedule.minutes``; the number of steps."""
    step, seconds, processor = 0, 0.0, torch.device("cpu")
    computed = computed_in(precision, processor)
    network.train()
    with Progress(transient=True) as bar:
        shown = bar.add_task("training", total=1.0)
        for batch in endless(batches, workers=1):
            began = time.monotonic()
            progress = training_progress(schedule, step, seconds)
            if progress >= 1:
                return step
            set_learning_rates(optimizer, learning_rate_factor(schedule, step, progress))
            optimizer.zero_grad(set_to_none=True)
            with reduced(processor, computed):
                loss = network.loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimizer.step()
            step += 1
            seconds += time.monotonic() - began
            bar.update(shown, completed=progress, description=f"step {step}, loss {loss.item():.3f}")
    return step


def run_specialist(kind: type[nn.Module], config: TrainConfig, stream: StreamConfig, minutes: float) -> dict[str, Any]:
    """Train one on a stream, evaluate it like ours; what is written down."""
    assert stream.evaluation is not None
    training = open_dataset(stream.dataset)
    parts, task = ingredients(config, stream, training)
    torch.manual_seed(config.seed)
    network = kind(parts)
    batches = Batches(
        training,
        train_transform(stream.task.kind, stream.task.image),
        task.collate,
        batch_size=stream.batch_size,
        seed=config.seed,
    )
    schedule = ScheduleConfig(
        steps=1, minutes=minutes, warmup_steps=WARMUP_STEPS, decay="cosine", constant=0.3, final=0.02
    )
    steps = fit(network, build_optimizer(network, parts), batches, schedule, config.precision)
    result = evaluate(
        network,  # type: ignore[arg-type]
        SpecialistTask(task),  # type: ignore[arg-type]
        open_dataset(stream.evaluation),
        test_transform(stream.task.kind, stream.task.image),
        batch_size=stream.batch_size,
        training=training,
    )
    return {
        "metrics": result.metrics,
        "baselines": result.baselines,
        "steps": steps,
        "minutes": minutes,
        "trained_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
    }


def print_table(config: TrainConfig, folder: Path, ours: dict[str, Any] | None) -> None:
    """Everything finished, beside the joint model's figures from its report."""
    table = Table("stream", "metric", "trivial", "one model, all tasks", "specialist", "which", "steps")
    for name, stream in config.streams.items():
        for label in SPECIALISTS[stream.task.kind]:
            path = result_file(folder, name, label)
            if not path.is_file():
                continue
            result = json.loads(path.read_text(encoding="utf-8"))
            joint = ours["streams"].get(name, {"metrics": {}})["metrics"] if ours else {}
            for metric in SHOWN[stream.task.kind]:
                if metric in result["metrics"]:
                    values = [result["baselines"].get(metric), joint.get(metric), result["metrics"][metric]]
                    cells = ["" if value is None else percent(value) for value in values]
                    table.add_row(name, metric, *cells, label, str(result["steps"]))
        table.add_section()
    Console().print(table)


def result_file(folder: Path, stream: str, label: str) -> Path:
    """Where a specialist's figures are kept."""
    return folder / f"{stream}, {label}.json"


def configuration(name: str, paths: list[str] | None) -> TrainConfig:
    """``demo`` on OpenMoji, or any other configuration with its paths."""
    return demo_config("openmoji") if name == "demo" else load_train_config(name, named_paths(paths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="demo, or a training configuration such as realdata")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="of training, for each specialist")
    parser.add_argument("--path", action="append", help="NAME=PATH of the configuration; repeatable")
    parser.add_argument("--stream", action="append", help="only these streams; repeatable")
    parser.add_argument("--ours", type=Path, help="report.json of the joint training")
    given = parser.parse_args()
    config = configuration(given.config, given.path)
    ours = json.loads(given.ours.read_text(encoding="utf-8")) if given.ours else None
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.stream or config.streams:
        for label, kind in SPECIALISTS[config.streams[name].task.kind].items():
            path = result_file(given.out, name, label)
            if not path.is_file():
                print(f"{name}: {label}", flush=True)
                result = run_specialist(kind, config, config.streams[name], given.minutes)
                path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print_table(config, given.out, ours)


if __name__ == "__main__":
    main()
