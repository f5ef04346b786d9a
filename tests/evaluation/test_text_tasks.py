"""GLUE, language modelling and retrieval of texts, from files through a training to a report, by both families."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from uniperceiver.config import (
    ModelConfig,
    load_train_config,
)
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.evaluation.checkpoint_evaluation import evaluate_checkpoint
from uniperceiver.evaluation.metric_names import check_metric
from uniperceiver.training.train import train

SENTENCES = ["a red car", "two dogs run", "a cat sits on a chair", "the man rides a bicycle"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = [
        f"{i}\t{text}.\t{SENTENCES[i - 1]}\t{('not_entailment', 'entailment')[i % 2]}"
        for i, text in enumerate(SENTENCES)
    ]
    (tmp_path / "rte.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]))
    rows = [f"{i}\tg\tf\t2012\t1\tn\tn\t{text}\t{SENTENCES[0]}\t{i + 0.5}" for i, text in enumerate(SENTENCES)]
    (tmp_path / "stsb.tsv").write_text("\n".join(rows))
    (tmp_path / "lines.txt").write_text("\n".join(SENTENCES))
    rows = [{"question": f"{text} ?", "answer": [text, SENTENCES[0]]} for text in SENTENCES[1:]]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def row(kind: str, dataset: dict[str, Any], **task: Any) -> dict[str, Any]:
    task = {"kind": kind, "max_tokens": 24} | task
    return {"task": task, "dataset": dataset, "evaluation": dataset, "batch_size": 3, "sampling_weight": 1.0}


def glue(folder: Path, task: str) -> dict[str, Any]:
    return {"kind": "glue", "task": task, "path": f"{folder}/{task}.tsv"}


def test_the_shipped_configuration_fine_tunes_and_evaluates_without_training(
    texts: Path, tiny_v1_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path
) -> None:
    values = {"model": write_model(tiny_v1_config, tmp_path), "steps": "2", "rate": "1.0e-4"}
    rte, stsb = (
        load_train_config("glue", values | {"task": task} | dict.fromkeys(("train", "dev"), f"{texts}/{task}.tsv"))
        for task in ("rte", "stsb")
    )
    checkpoint = train(replace(rte, workers=0), tmp_path / "run")
    reports = evaluate_checkpoint(checkpoint, None, None, tmp_path / "report.json")
    assert set(reports["rte"].result.metrics) == {"accuracy"}
    (report,) = evaluate_checkpoint(checkpoint, stsb, None, tmp_path / "zero_shot.json").values()
    assert set(report.result.metrics) == {"pearson", "spearman"}


@pytest.mark.parametrize("family", ["v1", "v2"])
def test_trained_and_evaluated(
    family: str,
    texts: Path,
    tokenizer: Tokenizer,
    tiny_model_config: ModelConfig,
    tiny_v1_config: ModelConfig,
    write_model: Callable[..., str],
    tmp_path: Path,
) -> None:
    model = tiny_model_config if family == "v2" else tiny_v1_config
    config = {
        "model": write_model(model, tmp_path),
        "schedule": {"steps": 8},
        "workers": 0,
        "streams": {
            "rte": row(
                "text_classification", {"kind": "glue", "task": "rte", "path": f"{texts}/rte.tsv"}, template="rte"
            ),
            "stsb": row(
                "text_classification", {"kind": "glue", "task": "stsb", "path": f"{texts}/stsb.tsv"}, template="stsb"
            ),
            "language": row("language_modeling", {"kind": "plain_text", "path": f"{texts}/lines.txt"}),
            "pairs": row("retrieval", {"kind": "text_pairs", "path": f"{texts}/qa.jsonl"}),
        },
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(0)
    checkpoint = train(load_train_config(str(tmp_path / "train.yaml")), tmp_path / "run")
    reports = evaluate_checkpoint(checkpoint, None, None, tmp_path / "report.json")
    mains = {name: report.result.main for name, report in reports.items()}
    assert mains == {"rte": "accuracy", "stsb": "pearson", "language": "likelihood", "pairs": "text_to_partner_r1"}
    for report in reports.values():
        values = report.result.metrics | report.result.baselines
        for name in values:
            check_metric(report.task, name)
        assert all(math.isfinite(value) and -1 <= value <= 1 for value in values.values())
        assert report.sheet.examples
    assert reports["rte"].result.baselines["accuracy"] == 0.5
    assert reports["pairs"].result.count == 3
    assert reports["language"].result.count == sum(len(tokenizer.encode(text)) - 1 for text in SENTENCES)


def test_other_classes_than_those_trained_on_are_an_error(
    texts: Path, tiny_model_config: ModelConfig, write_model: Callable[..., str], tmp_path: Path
) -> None:
    model = write_model(tiny_model_config, tmp_path)
    for name, labels in (("train", "ab"), ("test", "bc")):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(f"a red car,{label}" for label in labels))
    stream = row("text_classification", {"kind": "labelled_texts", "path": str(tmp_path / "train.csv")})
    config = {"model": model, "schedule": {"steps": 1}, "workers": 0, "streams": {"own": stream}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    settings = load_train_config(str(tmp_path / "train.yaml"))
    checkpoint = train(settings, tmp_path / "run")
    (own,) = evaluate_checkpoint(checkpoint, None, None, tmp_path / "report.json").values()
    assert set(own.result.metrics) == {"accuracy", "macro_f1", "matthews"}
    other = replace(settings.streams["own"].dataset, path=str(tmp_path / "test.csv"))
    settings = replace(settings, streams={"own": replace(settings.streams["own"], evaluation=other)})
    with pytest.raises(ValueError, match=r"compares with a, b, but the classes of .* are, in order, b, c"):
        evaluate_checkpoint(checkpoint, settings, None, tmp_path / "report.json")
