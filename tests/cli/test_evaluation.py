"""The commands ``evaluate`` and ``info``: where models are found, what they are evaluated on, where reports go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uniperceiver import cli
from uniperceiver.checkpoint import Checkpoint, save_checkpoint
from uniperceiver.predictor import model_folders


def run(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def packaged(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint named tiny, as one that comes with the package; the current folder is another."""
    monkeypatch.setattr(model_folders, "PACKAGED", tmp_path / "packaged")
    save_checkpoint(checkpoint, tmp_path / "packaged" / "tiny")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "packaged"


def test_a_packaged_model_on_data_of_any_format(
    packaged: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that the model was not trained on, or the part for evaluation; the report goes to the current folder."""
    given = [option for name in ("folders", "instances.json", "captions.json") for option in ("--data", data / name)]
    assert run("evaluate", "tiny", *given) == 0
    report = json.loads((tmp_path / "here" / "report.json").read_text())
    streams = report["streams"]
    counts = {name: stream["count"] for name, stream in streams.items()}
    assert counts["classification"] == counts["detection"] == 6
    assert counts["captioning"] == 2
    assert "retrieval" in counts
    assert set(streams["classification"]["per_class"]) == {"red car", "blue ball"}
    assert "<h2>detection</h2>" in (tmp_path / "here" / "report.html").read_text(encoding="utf-8")
    assert f"classification: {streams['classification']['dataset']}" in capsys.readouterr().out
    assert sorted(path.name for path in packaged.iterdir()) == ["tiny"]


@pytest.mark.usefixtures("packaged")
def test_loading_processes_change_nothing(data: Path, tmp_path: Path) -> None:
    for workers in ("0", "2"):
        given = ("--data", data / "folders", "--data", data / "captions.json", "--workers", workers)
        assert run("evaluate", "tiny", *given, "--out", tmp_path / f"{workers}.json") == 0
    one, other = (json.loads((tmp_path / f"{workers}.json").read_text())["streams"] for workers in ("0", "2"))
    assert one == other


def test_the_folder_of_a_training_is_a_model(
    checkpoint: Checkpoint, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(checkpoint, tmp_path / "run" / "checkpoint")
    assert run("info", tmp_path / "run", "--height", "64", "--width", "64") == 0
    assert run("evaluate", tmp_path / "run", "--data", data / "folders", "--stream", "classification") == 0
    assert set(json.loads((tmp_path / "run" / "report.json").read_text())["streams"]) == {"classification"}
    capsys.readouterr()
    assert run("evaluate", tmp_path / "run") == 2
    assert "does not say what it was trained on: give --data, or --config" in capsys.readouterr().err


def test_a_packaged_checkpoint_given_by_its_folder_gets_no_report_beside_it(packaged: Path, data: Path) -> None:
    assert run("evaluate", packaged / "tiny", "--data", data / "folders") == 0
    assert Path("report.json").is_file()
    assert not (packaged / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny", "--config", "demo", "--data", "."], "--config or --data, not both"),
        (["tiny", "--path", "data=."], "--path and --set fill the places of a configuration"),
        (["tiny", "--set", "task=rte"], "--path and --set fill the places of a configuration"),
        (["tiny", "--data", "nothing"], "--data nothing does not exist"),
        (["other"], "it is not one of the checkpoints that come with the package (tiny)"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str], message: str, packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", *arguments) == 2
    assert message in capsys.readouterr().err
