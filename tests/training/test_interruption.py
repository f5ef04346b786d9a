"""Training survives kill -9 and stops when asked to, in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from uniperceiver.config import load_train_config
from uniperceiver.training.interruption import Interrupted, noticing_signals
from uniperceiver.training.train import train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
STEPS = 12


@pytest.fixture
def quick_yaml(train_yaml: Path) -> Path:
    """Two streams, one of them shards of six pictures of which a step takes two; a checkpoint every third step."""
    config = yaml.safe_load(train_yaml.read_text())
    config["streams"] = {name: config["streams"][name] for name in ("shards", "pairs")}
    config |= {"log_every": 1, "checkpoint_every": 3, "workers": 1}
    config["schedule"]["steps"] = STEPS
    train_yaml.write_text(yaml.safe_dump(config))
    return train_yaml


def start(launcher: list[str], config: Path, data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = ["-m", "uniperceiver", "train", str(config), "--out", str(out), "--path", f"root={data}", *options]
    return subprocess.Popen([*launcher, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(process: subprocess.Popen[str], log: Path, step: int) -> None:
    while not (log.exists() and log.read_text().count("\n") >= step):
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.01)


def kill_with_children(pid: int) -> None:
    """kill -9 of a process and of those it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    started = [int(child) for child in children.read_text().split()] if children.exists() else []
    os.kill(pid, signal.SIGKILL)
    for child in started:
        kill_with_children(child)


def last_losses(folder: Path) -> dict[int, float]:
    """Step → loss, the later line of steps that were done twice."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows}


def same_weights(one: Path, other: Path) -> bool:
    a, b = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], TORCHRUN], ids=["one process", "two ranks"])
def test_killed_and_resumed_equals_uninterrupted(
    launcher: list[str], quick_yaml: Path, data: Path, tmp_path: Path
) -> None:
    """kill -9 in the middle of a shard and between checkpoints: the same weights and losses to the last bit."""
    python = [sys.executable, *launcher]
    killed = start(python, quick_yaml, data, tmp_path / "killed")
    wait_for_step(killed, tmp_path / "killed" / "log.jsonl", 5)
    kill_with_children(killed.pid)
    killed.communicate()
    assert len(last_losses(tmp_path / "killed")) < STEPS, "it was over before it was killed"
    for out, options in (("killed", ["--resume"]), ("whole", [])):
        process = start(python, quick_yaml, data, tmp_path / out, *options)
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-2000:]
    assert same_weights(tmp_path / "killed", tmp_path / "whole")
    assert last_losses(tmp_path / "killed") == last_losses(tmp_path / "whole")


@pytest.mark.slow
def test_sigterm_ends_the_step_and_saves(quick_yaml: Path, data: Path, tmp_path: Path) -> None:
    process = start([sys.executable], quick_yaml, data, tmp_path / "run")
    wait_for_step(process, tmp_path / "run" / "log.jsonl", 1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 143
    done = max(last_losses(tmp_path / "run"))
    assert done < STEPS
    assert f"SIGTERM: stopped after step {done}" in errors
    assert "--resume" in errors
    assert torch.load(tmp_path / "run" / "checkpoint" / "state.pt", weights_only=True)["step"] == done


def test_a_request_ends_the_training_after_its_step(quick_yaml: Path, data: Path, tmp_path: Path) -> None:
    config = load_train_config(str(quick_yaml), {"root": str(data)})

    def interrupt_after_the_first_step() -> None:
        log = tmp_path / "run" / "log.jsonl"
        while not (log.exists() and log.stat().st_size):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_after_the_first_step, daemon=True).start()
    with pytest.raises(Interrupted) as stopped:
        train(replace(config, workers=0), tmp_path / "run")
    assert stopped.value.code == 130
    assert (tmp_path / "run" / "checkpoint" / "state.pt").is_file()


def test_handlers_are_put_back_and_a_second_sigint_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with noticing_signals() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
