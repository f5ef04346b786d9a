"""The command ``reproduce``, as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from uniperceiver import cli


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def one_line(said: str) -> str:
    """Without the frame and the line breaks of a usage error."""
    return " ".join(said.replace("│", " ").split())


@pytest.fixture
def training(train_yaml: Path, data: Path) -> list[str | Path]:
    """Options for the tiny training, without the second of its two classification streams."""
    import yaml

    config = yaml.safe_load(train_yaml.read_text())
    config["streams"] = {name: config["streams"][name] for name in ("shards", "pairs")}
    train_yaml.write_text(yaml.safe_dump(config))
    return ["--config", train_yaml, "--path", f"root={data}", "--seeds", "1", "--steps", "3"]


def test_a_table(training: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["reproduce", "table2", "--out", tmp_path / "runs", "--rows", "Global, Regional", *training]
    assert run(*arguments, "--plan") == 0
    assert "2 runs, 6 steps" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert run(*arguments) == 0
    assert "Regional" in capsys.readouterr().out
    assert "| Regional | ours, 1 seed |" in (tmp_path / "runs" / "table2.md").read_text(encoding="utf-8")
    assert not list((tmp_path / "runs").glob("*/checkpoint"))


def test_mistakes_are_told(training: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", tmp_path / "runs"]
    assert run("reproduce", "table1", *out, *training) == 2
    assert "'table1' is not one of 'table2', 'table3', 'table4', 'table5', 'claim'" in one_line(capsys.readouterr().err)
    assert run("reproduce", "table2", *out, *training, "--seeds", "a") == 2
    assert "--seeds wants numbers" in capsys.readouterr().err
    assert run("reproduce", "table2", *out, *training, "--cutouts", "shapes") == 2
    assert "--cutouts is for the demo's training" in capsys.readouterr().err
    assert run("reproduce", "table5", *out, *training, "--encoder", "CLIP") == 2
    assert "METHOD/DATA=SOURCE" in capsys.readouterr().err


def test_the_plan_of_the_demos_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped training is one that the tables can be made from."""
    assert run("reproduce", "claim", "--out", tmp_path, "--cutouts", "shapes", "--steps", "300", "--plan") == 0
    assert "27 runs, 3600 steps" in capsys.readouterr().out
