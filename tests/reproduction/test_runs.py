"""One run: it trains, evaluates, says that it is finished, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from uniperceiver.checkpoint import load_checkpoint
from uniperceiver.config import ConfigError, OptimizerConfig, load_train_config
from uniperceiver.reproduction.runs import execute, plan_run, read_result
from uniperceiver.reproduction.variation import Variation
from uniperceiver.training.train import Training, initial


def test_a_run_leaves_its_figures_and_how_to_make_them(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=4)
    run = plan_run(baseline, Variation(baseline.streams), 1, tmp_path / "a $folder")
    assert not run.is_finished
    result = execute(run, "cpu", keeps_checkpoint=False)
    assert run.is_finished
    assert read_result(run) == result
    assert set(result.metrics) == {"labels", "pairs"}
    assert 0 <= result.metrics["labels"]["top1"] <= 1
    files = {path.name for path in run.folder.iterdir()}
    assert files == {".lock", "train.yaml", "model.yaml", "log.jsonl", "report.json", "report.html", "results.json"}
    assert load_train_config(str(run.folder / "train.yaml")) == run.training
    assert json.loads(run.results_file.read_text())["steps"] == 4
    assert plan_run(baseline, Variation(baseline.streams), 1, tmp_path / "a $folder").is_finished


def test_an_interrupted_run_resumes_from_its_checkpoint(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=4)
    whole = plan_run(baseline, Variation(baseline.streams), 0, tmp_path / "whole")
    execute(whole, "cpu", keeps_checkpoint=True)

    run = plan_run(baseline, Variation(baseline.streams), 0, tmp_path / "parts")
    training = replace(run.training, model=whole.training.model)
    first = Training(training, run.folder, initial(training), "cpu")
    first.loss.train()
    for _ in range(2):
        first.take_step()
    first.save()
    execute(run, "cpu", keeps_checkpoint=True)
    steps = [json.loads(line)["step"] for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert steps == [3, 4]
    one, two = (load_checkpoint(made.folder / "checkpoint").model.state_dict() for made in (whole, run))
    assert all(one[name].equal(two[name]) for name in one)
    assert read_result(run) == read_result(whole)


def test_a_folder_with_another_configuration_is_not_taken_for_this_one(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=4)
    execute(plan_run(baseline, Variation(("pairs",)), 1, tmp_path / "runs"), "cpu", keeps_checkpoint=False)
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert plan_run(baseline, Variation(("pairs",)), 1, tmp_path / "moved").is_finished
    with pytest.raises(ConfigError, match=r"run of another configuration \(it has \d steps, \d are wanted\)"):
        plan_run(make_baseline("labels", "pairs", steps=9), Variation(("pairs",)), 1, tmp_path / "moved")
    faster = replace(baseline, training=replace(baseline.training, optimizer=OptimizerConfig(learning_rate=0.5)))
    with pytest.raises(ConfigError, match="run of another configuration: give another --out"):
        plan_run(faster, Variation(("pairs",)), 1, tmp_path / "moved")


def test_two_processes_train_a_run(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=2, processes=2)
    run = plan_run(baseline, Variation(("pairs",)), 1, tmp_path)
    result = execute(run, "cpu", keeps_checkpoint=True)
    assert set(result.metrics) == {"pairs"}
    (line,) = (run.folder / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["examples"] == 4
    assert load_checkpoint(run.folder / "checkpoint").training == run.training


def test_a_failure_of_a_training_process_is_told(make_baseline, tmp_path: Path) -> None:
    baseline = make_baseline("labels", "pairs", steps=4, processes=2)
    run = plan_run(baseline, Variation(("pairs",)), 1, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ChildProcessError, match=r"training process \d failed: .*tokenizer"):
        execute(run, "cpu", keeps_checkpoint=False)
    assert not run.is_finished
