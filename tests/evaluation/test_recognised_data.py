"""Which streams recognised data becomes, and how a checkpoint is asked about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import (
    FoldConfig,
    FrameSamplingConfig,
    ImageFolderConfig,
    ModelConfig,
    TaskConfig,
    VideoCsvConfig,
)
from uniperceiver.data.recognition.found import FoundData
from uniperceiver.data.recognition.recognise import recognise
from uniperceiver.data.recognition.training_plan import training_plan
from uniperceiver.data.recognition.videos import OF_KINETICS
from uniperceiver.evaluation.recognised_data import _located, prepared_for
from uniperceiver.stored_tasks import StoredTask


def test_data_the_model_knows_is_held_out_as_in_training_and_other_data_is_used_whole(
    checkpoint: Checkpoint, untrained: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    trained = replace(checkpoint, training=training_plan(recognise(Path("folders")), str(untrained)))
    found = [*recognise(data / "folders"), *recognise(data / "instances.json")]
    _, streams = prepared_for(trained, found, untrained)
    assert streams["classification"].evaluation.fold == FoldConfig(10, held_out=True)  # type: ignore[union-attr]
    assert streams["detection"].evaluation.fold is None  # type: ignore[union-attr]
    assert streams["detection"].dataset == streams["detection"].evaluation


def test_data_that_the_model_was_trained_on_whole_is_said_to_be(
    checkpoint: Checkpoint, untrained: Path, data: Path, recwarn: pytest.WarningsRecorder
) -> None:
    found = recognise(data / "folders")
    plan = training_plan(found, str(untrained))
    prepared_for(replace(checkpoint, training=plan), found, untrained)
    assert not recwarn
    row = plan.streams["classification"]
    whole = replace(plan, streams={"mine": replace(row, dataset=replace(row.dataset, fold=None))})  # type: ignore[call-arg]
    with pytest.warns(UserWarning, match="classification: the model was trained on all of these data"):
        prepared_for(replace(checkpoint, training=whole), found, untrained)


def test_the_fold_that_training_held_out_is_used_whatever_it_is(
    checkpoint: Checkpoint, untrained: Path, data: Path
) -> None:
    """Of a configuration with folds of its own, as `realdata`'s; recognition would hold out every tenth record."""
    found = recognise(data / "folders")
    plan = training_plan(found, str(untrained))
    row = plan.streams["classification"]
    fold = FoldConfig(3, held_out=False)
    own = replace(plan, streams={"mine": replace(row, dataset=replace(row.dataset, fold=fold))})  # type: ignore[call-arg]
    _, streams = prepared_for(replace(checkpoint, training=own), found, untrained)
    evaluated = streams["classification"]
    assert evaluated.dataset == own.streams["mine"].dataset
    assert evaluated.evaluation == replace(evaluated.dataset, fold=FoldConfig(3, held_out=True))  # type: ignore[call-arg]


def test_a_training_part_that_the_model_knows_gives_the_baselines(checkpoint: Checkpoint, untrained: Path) -> None:
    train, val = ImageFolderConfig("train"), ImageFolderConfig("val")
    found = [FoundData("image_folder", train, val, "")]
    _, streams = prepared_for(checkpoint, found, untrained)
    assert (streams["classification"].dataset, streams["classification"].evaluation) == (val, val)
    known = replace(checkpoint, training=training_plan(found, str(untrained)))
    _, streams = prepared_for(known, found, untrained)
    assert (streams["classification"].dataset, streams["classification"].evaluation) == (train, val)


def test_videos_are_the_same_data_whichever_frames_are_looked_at() -> None:
    trained = VideoCsvConfig("train.csv", "videos", sampling=FrameSamplingConfig(16))
    assert _located(trained) == _located(VideoCsvConfig("train.csv", "videos"))
    assert _located(trained) != _located(VideoCsvConfig("train.csv", "others"))


def test_kinetics_is_evaluated_in_twelve_views_however_many_the_model_was_trained_with(
    checkpoint: Checkpoint, tiny_v1_config: ModelConfig, write_model: Callable[[ModelConfig, Path], str], tmp_path: Path
) -> None:
    listed = VideoCsvConfig("k400.csv", "videos", sampling=OF_KINETICS)
    found = [FoundData("video_csv", listed, listed, "")]
    _, streams = prepared_for(checkpoint, found, Path(write_model(tiny_v1_config, tmp_path)))
    (row,) = streams.values()
    trained = checkpoint.tasks["names"].config
    assert row.task == replace(trained, image=replace(trained.image, crops=3))
    assert row.evaluation.sampling == FrameSamplingConfig(4, clips=4, stride=32, start="first")  # type: ignore[union-attr]


def test_questions_are_asked_as_in_training_and_answered_with_its_words_but_the_names_of_the_data(
    checkpoint: Checkpoint, untrained: Path, data: Path
) -> None:
    found = [*recognise(data / "folders"), *recognise(data / "captions.json")]
    prepared, streams = prepared_for(checkpoint, found, untrained)
    assert streams["captioning"].task == checkpoint.tasks["captions"].config
    assert streams["classification"].task == checkpoint.tasks["names"].config
    assert prepared.tasks == {"captioning": checkpoint.tasks["captions"], "retrieval": checkpoint.tasks["pairs"]}
    assert set(checkpoint.tasks) > {"captions", "names"}
    bare, planned = prepared_for(replace(checkpoint, tasks={}), found, untrained)
    assert not bare.tasks
    assert planned["captioning"].task.vocabulary_from_data


def test_glue_is_asked_in_its_own_template(checkpoint: Checkpoint, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "RTE").mkdir()
    for name in ("train", "dev"):
        rows = [f"{i}\ta red car\ta tree\t{('not_entailment', 'entailment')[i % 2]}" for i in range(4)]
        (tmp_path / "RTE" / f"{name}.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]))
    own = TaskConfig("text_classification", max_tokens=17, template="{first} {slot}", label_words={"0": "bad"})
    trained = replace(checkpoint, tasks={"reviews": StoredTask(own, ("bad", "good"))})
    prepared, streams = prepared_for(trained, recognise(tmp_path / "RTE"), untrained)
    task = streams["text_classification"].task
    assert (task.template, task.label_words, task.max_tokens) == ("rte", None, 17)
    assert not prepared.tasks


def test_several_tasks_of_a_kind_count_as_one(checkpoint: Checkpoint) -> None:
    small = checkpoint.tasks["names"]
    large = replace(small.config, image=replace(small.config.image, test=80))
    tasks = {"one": small, "two": StoredTask(large, texts=("tree", "bird"))}
    both = replace(checkpoint, tasks=tasks).task_of("classification")
    assert both == StoredTask(large, texts=("cat", "dog", "tree", "bird"))
    assert checkpoint.task_of("language_modeling") is None
