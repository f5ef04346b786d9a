"""Every format, from files to twenty steps of a tiny model and its evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from uniperceiver import Predictor, cli
from uniperceiver.config import FrameSamplingConfig, ImageSizeConfig, TrainConfig, load_train_config
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.recognition.recognise import recognise
from uniperceiver.data.recognition.training_plan import training_plan, write_plan
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
from uniperceiver.training.train import train

FORMATS = (
    "coco_instances",
    "yolo",
    "voc",
    "image_folder",
    "image_list",
    "webdataset",
    "coco_captions",
    "karpathy",
    "table",
    "json_lines",
    "webdataset_pairs",
    "visual_genome",
    "vqa",
    "hugging_face",
    "plain_text",
)


VIDEO_FORMATS = ("kinetics", "msrvtt", "msvd", "coco_of_videos", "video_table")


def small(plan: TrainConfig, steps: int, side: int = 64) -> TrainConfig:
    """The same training with small pictures and batches."""
    size = ImageSizeConfig(train=side, test=side, test_longest=side, scale=(0.6, 1.0))
    return replace(
        plan,
        streams={
            name: replace(row, batch_size=2, task=replace(row.task, image=size, max_tokens=12, answers=5))
            for name, row in plan.streams.items()
        },
        schedule=replace(plan.schedule, steps=steps),
        proposal_loss=replace(plan.proposal_loss, points=32),
        precision="float32",
        workers=0,
        log_every=5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_twenty_steps(name: str, write_format: Callable[[str], Path], tiny_model: str, tmp_path: Path) -> None:
    train_and_check(small(training_plan(recognise(write_format(name)), tiny_model), steps=20), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_twenty_steps_on_videos(
    name: str, write_format: Callable[[str], Path], tiny_video_model: str, tmp_path: Path
) -> None:
    found = recognise(write_format(name))
    written = tmp_path / "train.yaml"
    write_plan(training_plan(found, tiny_video_model), written)
    plan = load_train_config(str(written))
    assert set(plan.streams) == ({"classification"} if name == "kinetics" else {"captioning", "retrieval"})
    train_and_check(small(plan, steps=20, side=32), tmp_path / "run")


def train_and_check(plan: TrainConfig, folder: Path) -> None:
    checkpoint = train(plan, folder)
    assert (checkpoint / "model.safetensors").is_file()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == 20
    assert all(math.isfinite(line["loss"]) for line in steps)
    assert {line["stream"] for line in steps} == set(plan.streams)


@pytest.mark.parametrize("name", ["kinetics", "msrvtt"])
def test_a_model_of_videos_is_evaluated_in_views(
    name: str, write_format: Callable[[str], Path], tiny_video_model: str, tmp_path: Path
) -> None:
    plan = small(training_plan(recognise(write_format(name)), tiny_video_model), steps=2, side=32)
    streams = {
        kind: row
        if kind == "captioning"
        else replace(
            row,
            task=replace(row.task, image=replace(row.task.image, crops=3)),
            evaluation=replace(row.evaluation, sampling=FrameSamplingConfig(frames=4, clips=4)),
        )
        for kind, row in plan.streams.items()
    }
    checkpoint = train(replace(plan, streams=streams), tmp_path / "run")
    reports = evaluate_checkpoint(checkpoint, None, None, tmp_path / "report.json")
    for kind, report in reports.items():
        assert report.result.unit == "videos"
        assert ("4 frames of 12 views of a video" in report.result.protocol) == (kind != "captioning")
        assert report.sheet.examples
        assert "image" not in report.result.main
    metrics = {name for report in reports.values() for name in report.result.metrics}
    assert metrics >= ({"top1"} if name == "kinetics" else {"video_to_text_r1", "text_to_video_r10", "cider_d"})


def test_the_verbs_look_at_a_video_as_its_evaluation_does(
    write_format: Callable[[str], Path], tiny_video_model: str, tmp_path: Path
) -> None:
    plan = small(training_plan(recognise(write_format("kinetics")), tiny_video_model), steps=2, side=32)
    checkpoint = train(plan, tmp_path / "run")
    (report,) = evaluate_checkpoint(checkpoint, None, None, tmp_path / "report.json").values()
    (stream,) = plan.streams.values()
    assert stream.evaluation is not None
    videos: Any = open_dataset(stream.evaluation)
    records = [videos[index] for index in range(len(videos))]
    predictor = Predictor.from_pretrained(checkpoint)
    found = predictor.classify([record.image_id for record in records])
    right = [each.names[0] == videos.names[record.label] for each, record in zip(found, records, strict=True)]
    assert sum(right) / len(right) == report.result.metrics["top1"]
    reader = predictor.video_reader("classification")
    assert reader is not None
    assert reader.sampling == FrameSamplingConfig(4, clips=4, stride=32, start="first")
    assert len(reader(records[0].image_id)) == 4  # crops are not `small`


def test_train_recognises_data_and_writes_the_equivalent_yaml(
    write_format: Callable[[str], Path], tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    given = ["--data", str(write_format("image_folder")), "--data", str(write_format("plain_text"))]
    with pytest.raises(SystemExit) as end:
        cli.main(["train", *given, "--model", tiny_model, "--out", str(out), "--minutes", "0.01"])
    assert not end.value.code
    said = capsys.readouterr().out
    assert "trains classification" in said
    assert "trains masked language modeling" in said
    assert "every 10th record is held out" in said
    assert set(load_train_config(str(out / "train.yaml")).streams) == {"classification", "masked_language_modeling"}
    assert (out / "checkpoint" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "either a configuration or --data"), (["realdata", "--data", "."], "either a configuration or --data")],
)
def test_one_of_configuration_and_data(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["train", *arguments, "--out", str(tmp_path / "x")])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
