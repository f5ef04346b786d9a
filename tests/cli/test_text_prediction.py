"""classify-text, run as a user runs it, from training on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from uniperceiver import cli
from uniperceiver.checkpoint import Checkpoint, save_checkpoint
from uniperceiver.config import ModelConfig, TaskConfig
from uniperceiver.stored_tasks import StoredTask


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def saved(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """A model that was told to classify single texts."""
    config = TaskConfig("text_classification", template="{first} {slot}", label_words={"0": "no", "1": "yes"})
    save_checkpoint(replace(checkpoint, tasks={"texts": StoredTask(config, ("no", "yes"))}), tmp_path / "saved")
    return tmp_path / "saved"


def test_a_model_trained_on_glue_classifies_pairs(
    tiny_v1_config: ModelConfig,
    write_model: Callable[[ModelConfig, Path], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [f"{i}\ta red car {i}.\ta green tree\t{('not_entailment', 'entailment')[i % 2]}" for i in range(4)]
    (tmp_path / "rte.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]))
    values = {"model": write_model(tiny_v1_config, tmp_path), "task": "rte", "steps": "2", "rate": "1.0e-4"}
    values |= dict.fromkeys(("train", "dev"), str(tmp_path / "rte.tsv"))
    config = {"extends": {"config": "glue", "values": values}, "workers": 0}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    assert run("train", tmp_path / "train.yaml", "--out", tmp_path / "run") == 0
    capsys.readouterr()
    texts = ["two dogs run .", "a cat sits ."]
    assert run("classify-text", *texts, "--second", "a blue ball", "--model", tmp_path / "run", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(entry["text"], entry["second"]) for entry in found] == [(text, "a blue ball") for text in texts]
    assert {tuple(entry["names"]) for entry in found} == {("not_entailment", "entailment")}
    assert [sum(entry["probabilities"]) for entry in found] == pytest.approx([1, 1])
    (tmp_path / "pairs.txt").write_text("two dogs run .\ta blue ball\n\na cat sits .\ta blue ball\n")
    assert run("classify-text", "--texts", tmp_path / "pairs.txt", "--model", tmp_path / "run", "--json") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == found


def test_results_are_printed_for_people(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify-text", "a cat", "a dog", "--labels", "red, green, blue", "--model", saved) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[4]] == ["a cat", "a dog"]
    assert {line.split()[0] for line in lines[1:4]} == {"red", "green", "blue"}
    assert all(line.endswith(" %") for line in lines[1:4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "takes either texts, with --second for pairs, or --texts"),
        (["a cat", "--texts", "texts.txt"], "takes either texts"),
        (["--texts", "texts.txt", "--second", "a dog"], "takes either texts"),
        (["--texts", "odd.txt"], "row 2 has 1 texts; every row has one, or every row two"),
        (["a cat", "--second", "a dog"], "classifies single texts"),
        (["a cat", "--task", "sst2"], "no task 'sst2' of text_classification: name one of texts"),
    ],
)
def test_mistakes_end_in_one_line(
    saved: Path,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.txt").write_text("a cat\ta dog\na tree\n")
    assert run("classify-text", *arguments, "--model", saved) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
