"""Every command, run as a user runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from uniperceiver import cli
from uniperceiver.cli.prediction import InPrecision
from uniperceiver.cli.training import Tune
from uniperceiver.config import Precision, TrainConfig, TuneConfig, load_train_config, shipped


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def trained(train_yaml: Path, data: Path, tmp_path: Path) -> Path:
    """A checkpoint that the train command made."""
    assert run("train", train_yaml, "--out", tmp_path / "run", "--path", f"root={data}") == 0
    return tmp_path / "run" / "checkpoint"


def commands_below(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and, of a group, all that are in it, each with the words that call it."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from commands_below(below, *path, name)


COMMANDS = list(commands_below(get_command(cli.app)))


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) or "all" for path, _ in COMMANDS])
def test_every_command_has_help(
    path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names every option, or of a group every command, and says what the command does."""
    monkeypatch.setenv("COLUMNS", "200")  # nothing is cut off
    assert run(*path, "--help") == 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert "Usage: " in said
    assert (command.help or "").split("\n")[0].strip(". ")[:40] in said
    shown = [option.opts[0] for option in command.params if option.opts[0].startswith("--")]
    shown += list(command.commands) if isinstance(command, TyperGroup) else []
    assert shown
    assert all(name in said for name in shown)


def test_choices_are_those_of_the_configuration() -> None:
    """They are written twice, since ``--help`` does not wait for the configuration to be imported."""
    precision, _ = get_args(InPrecision)
    tune, _ = get_args(get_args(Tune)[0])
    assert precision == Precision
    assert tune == get_type_hints(TuneConfig)["mode"]


def test_a_device_that_is_not_there_is_one_line(
    train_yaml: Path, untrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--path", f"root={data}"]
    for words in (
        ["train", train_yaml, "--out", tmp_path / "run", *places],
        ["evaluate", untrained, "--config", train_yaml, *places],
        ["classify", data / "images", "--labels", "dog, cat", "--model", untrained],
    ):
        assert run(*words, "--device", "gpu") == 2
        assert capsys.readouterr().err.startswith("uniperceiver: cannot compute on the device gpu: ")


def test_help_does_not_import_torch() -> None:
    code = "import sys, uniperceiver.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("preset", [name for name in shipped("model") if name in ("nano", "swin_base")])
def test_info_of_a_preset(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", preset, "--json", "--height", "64", "--width", "96") == 0
    account = json.loads(capsys.readouterr().out)
    parameters = account["parameters"]
    assert parameters["total"] > parameters["deployed"] > 0
    assert sum(parameters["by_module"].values()) == parameters["total"]


def test_info_says_how_deformable_attention_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "nano", "--height", "64", "--width", "64") == 0
    assert "deformable attention on processors: " in capsys.readouterr().out


def test_train_and_evaluate(trained: Path, tmp_path: Path) -> None:
    assert run("info", trained) == 0
    assert run("evaluate", trained) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert set(report["streams"]) == {"shards", "folders", "objects", "captions", "pairs", "language"}
    assert report["streams"]["objects"]["metrics"]["box_ap"] >= 0
    assert "<h2>objects</h2>" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert run("curves", tmp_path / "run", "--out", tmp_path / "new" / "curves.svg") == 0
    assert "objects: loss" in (tmp_path / "new" / "curves.svg").read_text(encoding="utf-8")


def test_the_demo_trains_evaluates_and_says_where_the_report_is(
    train_yaml: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def tiny(cutouts: str, minutes: float, seed: int) -> TrainConfig:
        asked.append((cutouts, minutes, seed))
        return load_train_config(str(train_yaml), {"root": str(data)})

    monkeypatch.setattr("uniperceiver.demo.demo_config", tiny)
    monkeypatch.setattr("uniperceiver.demo.installed_cutouts", lambda: "shapes")
    assert run("demo", "--out", tmp_path / "demo", "--minutes", "2", "--seed", "7") == 0
    assert asked == [("shapes", 2, 7)]
    said = capfd.readouterr().out
    assert "the scenes are drawn shapes" in said
    assert "100%" in said
    assert str(tmp_path / "demo" / "report.html") in said.replace("\n", "")
    assert (tmp_path / "demo" / "report.html").is_file()


def test_one_stream_is_evaluated_on_other_data(trained: Path, train_yaml: Path, data: Path, tmp_path: Path) -> None:
    report = tmp_path / "one.json"
    options = ["--config", train_yaml, "--path", f"root={data}", "--stream", "pairs", "--out", report]
    assert run("evaluate", trained, *options) == 0
    assert set(json.loads(report.read_text())["streams"]) == {"pairs"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nanoo"], "nano"),
        (["train", "realdata", "--out", "x"], "--path cifar=…"),
        (["train", "realdata", "--out", "x", "--path", "cifar"], "NAME=PATH"),
        (["train", "realdata", "--out", "x", "--path", "cifar=/no/such/folder"], "does not exist"),
        (["evaluate", "/no/such/checkpoint"], "there is no such folder"),
        (["curves", "/no/such/run", "--out", "x.svg"], "no training log"),
    ],
)
def test_mistakes_end_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_warning_of_the_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And names no line of code."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    run("info", "nobody")
    shown = warnings.formatwarning("odd boxes", UserWarning, str(Path(cli.__file__).parents[1] / "data/x.py"), 7)
    assert shown == "uniperceiver: warning: odd boxes\n"
    assert "other.py:7: UserWarning: odd" in warnings.formatwarning("odd", UserWarning, "/lib/other.py", 7)
