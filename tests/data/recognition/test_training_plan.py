from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uniperceiver.config import FrameSamplingConfig, PlainTextConfig, VideoCsvConfig, load_train_config
from uniperceiver.data.recognition.found import FoundData, RecognitionError
from uniperceiver.data.recognition.recognise import recognise
from uniperceiver.data.recognition.training_plan import describe, training_plan, write_plan


def test_the_yaml_is_the_same_training(write_format: Callable[[str], Path], tmp_path: Path) -> None:
    found = [
        entry for name in ("coco_instances", "karpathy", "vqa", "plain_text") for entry in recognise(write_format(name))
    ]
    plan = training_plan(found, "nano")
    assert set(plan.streams) == {
        "detection",
        "captioning",
        "retrieval",
        "visual_question_answering",
        "masked_language_modeling",
    }
    path = tmp_path / "out" / "train.yaml"
    write_plan(plan, path)
    assert load_train_config(str(path)) == plan
    assert "seed" not in path.read_text()  # what is default is left out


def test_the_recipe_is_that_of_realdata(write_format: Callable[[str], Path]) -> None:
    found = [entry for name in ("coco_instances", "karpathy", "plain_text") for entry in recognise(write_format(name))]
    plan = training_plan(found, "nano")
    measured = load_train_config("realdata", dict.fromkeys(("cifar", "imagenet", "coco", "flickr"), "data"))
    assert (plan.optimizer, plan.proposal_loss) == (measured.optimizer, measured.proposal_loss)
    tasks = {row.task.kind: row for row in measured.streams.values() if row.task.kind != "classification"}
    assert len(tasks) == len(plan.streams) == 4
    for row in plan.streams.values():
        assert (row.task, row.batch_size) == (tasks[row.task.kind].task, tasks[row.task.kind].batch_size)


def test_streams_of_one_task_share_its_weight(write_format: Callable[[str], Path]) -> None:
    found = [entry for name in ("coco_captions", "karpathy") for entry in recognise(write_format(name))]
    plan = training_plan(found, "nano")
    assert set(plan.streams) == {"captioning", "retrieval", "captioning_2", "retrieval_2"}
    assert plan.streams["captioning"].sampling_weight == pytest.approx(0.085)


def test_a_dollar_in_a_path_and_another_training_in_the_way(tmp_path: Path) -> None:
    part = PlainTextConfig("a$b.txt")
    plan = training_plan([FoundData("plain_text", part, part, "")], "nano")
    write_plan(plan, tmp_path / "train.yaml")
    write_plan(plan, tmp_path / "train.yaml")
    assert load_train_config(str(tmp_path / "train.yaml")).streams["masked_language_modeling"].dataset == part
    other = training_plan([FoundData("plain_text", part, part, "")], "resnet50")
    with pytest.raises(RecognitionError, match="is of another training"):
        write_plan(other, tmp_path / "train.yaml")


def test_what_was_found_is_said(write_format: Callable[[str], Path]) -> None:
    lines = describe(recognise(write_format("coco_captions")))
    assert lines[0].endswith("(5 pictures): trains captioning and retrieval")
    assert "every 10th record is held out" in lines[1]
    assert lines[1].endswith("(1 records)")


def test_a_network_of_patches_gets_pictures_of_its_size_and_as_many_frames_as_it_has_places(
    write_format: Callable[[str], Path], tiny_video_model: str
) -> None:
    found = [entry for name in ("kinetics", "msvd", "image_folder") for entry in recognise(write_format(name))]
    plan = training_plan(found, tiny_video_model)
    assert set(plan.streams) == {"classification", "captioning", "retrieval", "classification_2"}
    assert all((row.task.image.train, row.task.image.test) == (32, 32) for row in plan.streams.values())
    assert not any(row.task.image.squeeze for row in plan.streams.values())
    assert all(row.task.slots for row in plan.streams.values())
    assert plan.streams["classification"].dataset.sampling.frames == 4
    assert plan.streams["captioning"].evaluation.sampling.frames == 4
    with pytest.raises(RecognitionError, match="has no regions: give --model a network of v2"):
        training_plan(recognise(write_format("coco_instances")), tiny_video_model)


def test_videos_are_not_mirrored(write_format: Callable[[str], Path], tiny_video_model: str) -> None:
    """Their class may be which way things go; pictures of the same network are mirrored."""
    videos = VideoCsvConfig("train.csv", "videos")
    (of_videos,) = training_plan([FoundData("video_csv", videos, videos, "")], tiny_video_model).streams.values()
    (of_pictures,) = training_plan(recognise(write_format("image_folder")), tiny_video_model).streams.values()
    assert (of_videos.task.image.flip, of_pictures.task.image.flip) == (False, True)


@pytest.mark.parametrize(
    ("name", "trained", "evaluated", "crops"),
    [
        ("kinetics", FrameSamplingConfig(4, stride=32), FrameSamplingConfig(4, 4, 32, "first"), 3),
        ("msrvtt", FrameSamplingConfig(4, stride=32), FrameSamplingConfig(4, 1, 32, "first"), 1),
        ("msvd", FrameSamplingConfig(4, stride=32), FrameSamplingConfig(4, 1, 32, "first"), 1),
        ("coco_of_videos", FrameSamplingConfig(4), FrameSamplingConfig(4), 1),
        ("video_table", FrameSamplingConfig(4), FrameSamplingConfig(4), 1),
    ],
)
def test_videos_that_v1_knows_are_sampled_as_there_and_others_as_a_whole(
    name: str,
    trained: FrameSamplingConfig,
    evaluated: FrameSamplingConfig,
    crops: int,
    write_format: Callable[[str], Path],
    tiny_video_model: str,
) -> None:
    """Of a model for four frames; v1's own has eight for Kinetics."""
    found = recognise(write_format(name))
    for row in training_plan(found, tiny_video_model).streams.values():
        assert (row.dataset.sampling, row.evaluation.sampling) == (trained, evaluated)
        assert row.task.image.crops == crops
    assert found[0].training.sampling.frames == (8 if trained.stride is None or name == "kinetics" else 4)


def test_videos_are_refused_by_a_network_of_pictures() -> None:
    videos = VideoCsvConfig("train.csv", "videos")
    with pytest.raises(RecognitionError, match="nano takes pictures"):
        training_plan([FoundData("video_csv", videos, videos, "")], "nano")
