"""Processes that one command starts train as one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from uniperceiver.checkpoint import CheckpointError, load_checkpoint
from uniperceiver.config import load_train_config
from uniperceiver.training.processes import train_in_processes


def test_what_is_in_the_way_is_said_before_a_process_is_started(
    train_yaml: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uniperceiver.training.processes.elastic_launch", None)
    config = load_train_config(str(train_yaml), {"root": str(data)})
    with pytest.raises(CheckpointError, match=r"no checkpoint .* to go on from"):
        train_in_processes(config, tmp_path / "run", processes=2, resume=True)
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="exists already"):
        train_in_processes(config, tmp_path / "run", processes=2)


@pytest.mark.slow
def test_two_processes_leave_one_checkpoint_and_one_log(train_yaml: Path, data: Path, tmp_path: Path) -> None:
    config = load_train_config(str(train_yaml), {"root": str(data)})
    before = dict(os.environ)
    folder = train_in_processes(config, tmp_path / "run", processes=2)
    assert dict(os.environ) == before
    assert load_checkpoint(folder).training == config
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, config.schedule.steps + 1))
    assert all(row["examples"] == 2 * config.streams[row["stream"]].batch_size for row in rows)
