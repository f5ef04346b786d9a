"""A tiny trained checkpoint, evaluated to its two reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from uniperceiver.checkpoint import Checkpoint, save_checkpoint
from uniperceiver.config import ScenesConfig, TrainConfig, VqaConfig, load_train_config
from uniperceiver.data.datasets import open_dataset
from uniperceiver.data.datasets.annotation_files import DatasetError
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint, write_predictions
from uniperceiver.evaluation.text_files import score_answers
from uniperceiver.stored_tasks import StoredTask
from uniperceiver.training.train import train


def with_questions(config: TrainConfig, data: Path, folder: Path) -> TrainConfig:
    """The same with a stream of questions, whose texts are not friendly."""
    questions = [{"question_id": n, "image_id": n, "question": f"<i>{n}</i> is it red?"} for n in range(6)]
    answers = [{"question_id": n, "image_id": n, "answers": [{"answer": ["yes", "<no>"][n % 2]}] * 3} for n in range(6)]
    (folder / "questions.json").write_text(json.dumps({"questions": questions}))
    (folder / "answers.json").write_text(json.dumps({"annotations": answers}))
    dataset = VqaConfig(str(folder / "questions.json"), str(folder / "answers.json"), str(data / "images"))
    stream = config.streams["pairs"]
    task = replace(stream.task, kind="visual_question_answering")
    stream = replace(stream, task=task, dataset=dataset, evaluation=dataset)
    return replace(config, streams={**config.streams, "questions": stream})


def test_every_task_has_examples_in_the_report(train_yaml: Path, data: Path, tmp_path: Path) -> None:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    config = with_questions(replace(config, schedule=replace(config.schedule, steps=3)), data, tmp_path)
    checkpoint = train(config, tmp_path / "run")
    path = tmp_path / "run" / "report.json"
    reports = evaluate_checkpoint(checkpoint, None, None, path)
    assert json.loads(path.read_text())["streams"].keys() == config.streams.keys() == reports.keys()
    for name, report in reports.items():
        assert report.sheet.examples, name
        assert report.sheet.note, name
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    for words in ("annotated objects", "hidden: ", "the right picture is number", "the best right caption", "3 steps"):
        assert words in page, words
    assert "&lt;i&gt;0&lt;/i&gt; is it red?" in page
    assert "<i>0" not in page
    assert reports["folders"].result.per_class.keys() == {"red car", "blue ball"}

    (tmp_path / "run" / "log.jsonl").unlink()
    evaluate_checkpoint(checkpoint, None, ["language"], path)
    assert "No curves: no training log" in path.with_suffix(".html").read_text(encoding="utf-8")


def test_a_task_without_answers_of_its_own_has_those_of_the_data(
    checkpoint: Checkpoint, train_yaml: Path, data: Path, tmp_path: Path
) -> None:
    """As a Uni-Perceiver v1 that was converted without answers."""
    asked = StoredTask(checkpoint.tasks["questions"].config)
    save_checkpoint(replace(checkpoint, tasks={"questions": asked}), tmp_path / "model")
    config = with_questions(load_train_config(str(train_yaml), {"root": str(data)}), data, tmp_path)
    reports = evaluate_checkpoint(tmp_path / "model", config, ["questions"], tmp_path / "report.json")
    assert reports["questions"].result.count == 6


def test_training_data_that_are_gone_are_missed_for_trivial_answers_alone(
    checkpoint: Checkpoint, train_yaml: Path, data: Path, tmp_path: Path
) -> None:
    config = with_questions(load_train_config(str(train_yaml), {"root": str(data)}), data, tmp_path)
    stream = config.streams["questions"]
    gone = replace(stream, dataset=replace(stream.dataset, questions=str(tmp_path / "gone.json")))
    config = replace(config, streams={"questions": gone})
    save_checkpoint(checkpoint, tmp_path / "model")
    with pytest.warns(UserWarning, match=r"questions: the training data .* come from the evaluated .*gone\.json"):
        reports = evaluate_checkpoint(tmp_path / "model", config, None, tmp_path / "report.json")
    assert reports["questions"].result.count == 6
    save_checkpoint(replace(checkpoint, tasks={}), tmp_path / "without answers")
    with pytest.raises(DatasetError, match=r"gone\.json"):
        evaluate_checkpoint(tmp_path / "without answers", config, None, tmp_path / "report.json")


def test_names_that_training_never_saw_are_evaluated_among_themselves(
    train_yaml: Path, data: Path, tmp_path: Path
) -> None:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    rows = {name: config.streams[name] for name in ("folders", "objects", "pairs")}
    for name, view in (("folders", "labels"), ("objects", "objects"), ("pairs", "captions")):
        scenes = ScenesConfig(view=view, split="train", images=4, held_out=3, size=64)  # type: ignore[arg-type]
        seen = replace(scenes, split="val")
        novel = replace(seen, categories="held_out")
        rows[name] = replace(rows[name], dataset=scenes, evaluation=seen, held_out_evaluation=novel)
    config = replace(config, streams=rows, schedule=replace(config.schedule, steps=2))
    checkpoint = train(config, tmp_path / "run")
    reports = evaluate_checkpoint(checkpoint, None, ["folders", "objects", "pairs"], tmp_path / "report.json")
    assert list(reports) == [f"{name}{part}" for name in rows for part in ("", "-held-out")]
    held_out = set(open_dataset(rows["folders"].held_out_evaluation).names)  # type: ignore[arg-type,union-attr]
    assert set(reports["folders-held-out"].result.per_class) <= held_out
    assert set(reports["objects-held-out"].result.per_class) <= held_out
    assert reports["objects-held-out"].result.metrics.keys() == reports["objects"].result.metrics.keys()
    assert "held-out names" in reports["pairs-held-out"].dataset


def test_the_json_cannot_be_where_the_html_goes_nor_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name it \.json"):
        evaluate_checkpoint(tmp_path, None, None, tmp_path / "report.html")
    with pytest.raises(ValueError, match="is a folder: name the file in it"):
        evaluate_checkpoint(tmp_path, None, None, tmp_path)


def test_answers_are_written_as_the_official_evaluation_reads_them(
    checkpoint: Checkpoint, train_yaml: Path, data: Path, tmp_path: Path
) -> None:
    """With people's answers, the file scores what the report says; without, it is what a test server wants."""
    save_checkpoint(checkpoint, tmp_path / "model")
    config = with_questions(load_train_config(str(train_yaml), {"root": str(data)}), data, tmp_path)
    stream = config.streams["questions"]
    asked = replace(config, streams={"questions": stream, "pairs": config.streams["pairs"]})
    reports = evaluate_checkpoint(tmp_path / "model", asked, None, tmp_path / "report.json")
    assert write_predictions(tmp_path / "found", reports) == [tmp_path / "found" / "questions.json"]
    rows = json.loads((tmp_path / "found" / "questions.json").read_text())
    assert [row["question_id"] for row in rows] == list(range(6))
    assert {row["answer"] for row in rows} <= {"yes", "no", "three"}
    scores = score_answers(tmp_path / "found" / "questions.json", tmp_path / "answers.json")
    assert scores.metrics["accuracy"] == reports["questions"].result.metrics["accuracy"]

    assert isinstance(stream.evaluation, VqaConfig)
    unknown = replace(stream, evaluation=replace(stream.evaluation, annotations=None))
    asked = replace(config, streams={"questions": unknown})
    unscored = evaluate_checkpoint(tmp_path / "model", asked, None, tmp_path / "test.json")
    write_predictions(tmp_path / "unscored", unscored)
    assert json.loads((tmp_path / "unscored" / "questions.json").read_text()) == rows
    assert json.loads((tmp_path / "test.json").read_text())["streams"]["questions"]["metrics"] == {"accuracy": None}
    assert "Picture 0" in (tmp_path / "test.html").read_text()
    with pytest.raises(ValueError, match=r"no predictions to write .*the evaluated streams \(pairs\) have none"):
        write_predictions(tmp_path / "none", {"pairs": reports["pairs"]})
