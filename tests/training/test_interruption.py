"""Training survives kill -9 and stops when asked to, in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from uniperceiver.checkpoint import load_training_state
from uniperceiver.config import TrainConfig, load_train_config
from uniperceiver.training.interruption import Interrupted, noticing_signals
from uniperceiver.training.train import train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
STEPS = 16


@pytest.fixture
def quick_yaml(train_yaml: Path) -> Path:
    """Two streams, one of them shards of six pictures of which a step takes two; a checkpoint every third step."""
    config = yaml.safe_load(train_yaml.read_text())
    config["streams"] = {name: config["streams"][name] for name in ("shards", "pairs")}
    config |= {"log_every": 1, "checkpoint_every": 3, "workers": 1}
    config["schedule"]["steps"] = STEPS
    train_yaml.write_text(yaml.safe_dump(config))
    return train_yaml


def without_workers(config: Path, data: Path) -> TrainConfig:
    """The same training, its batches loaded between the steps."""
    return replace(load_train_config(str(config), {"root": str(data)}), workers=0)


def start(config: Path, data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = ["uniperceiver", "train", str(config), "--out", str(out), "--path", f"root={data}", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_step(log: Path, step: int, is_running: Callable[[], bool]) -> None:
    while not (log.exists() and log.read_text().count("\n") >= step):
        assert is_running(), "it ended before"
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


def assert_same(one: Path, other: Path) -> None:
    """Two trainings ended with the same weights and had the same losses, to the last bit."""
    a, b = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert last_losses(one) == last_losses(other)


@pytest.mark.slow
def test_stopped_killed_and_resumed_equals_uninterrupted(quick_yaml: Path, data: Path, tmp_path: Path) -> None:
    """SIGTERM ends the step and saves; kill -9 comes in the middle of a shard and between checkpoints."""
    out = tmp_path / "run"
    stopped = start(quick_yaml, data, out)
    wait_for_step(out / "log.jsonl", 1, lambda: stopped.poll() is None)
    stopped.send_signal(signal.SIGTERM)
    _, errors = stopped.communicate()
    assert stopped.returncode == 143
    done = max(last_losses(out))
    assert f"SIGTERM: stopped after step {done}" in errors
    assert "--resume" in errors
    assert load_training_state(out / "checkpoint").step == done

    killed = start(quick_yaml, data, out, "--resume")
    wait_for_step(out / "log.jsonl", done + 4, lambda: killed.poll() is None)
    kill_with_children(killed.pid)
    killed.communicate()
    assert done < max(last_losses(out)) < STEPS, "it was over before it was killed"

    torch.set_num_threads(1)  # as the command had: sums depend on it in the last bit
    config = without_workers(quick_yaml, data)
    train(config, out, resume=True)
    train(config, tmp_path / "whole")
    assert_same(out, tmp_path / "whole")


def test_two_ranks_killed_and_resumed_equal_uninterrupted(
    quick_yaml: Path, data: Path, tmp_path: Path, start_two: Callable[..., Any], in_two_processes: Callable[..., None]
) -> None:
    config = without_workers(quick_yaml, data)
    killed = start_two(train, config, tmp_path / "killed")
    wait_for_step(tmp_path / "killed" / "log.jsonl", 5, lambda: killed.processes[0].is_alive())
    for process in killed.processes:
        process.kill()
        process.join()
    assert len(last_losses(tmp_path / "killed")) < STEPS, "it was over before it was killed"
    in_two_processes(train, config, tmp_path / "killed", True)
    in_two_processes(train, config, tmp_path / "whole")
    assert_same(tmp_path / "killed", tmp_path / "whole")


def test_a_request_ends_the_training_after_its_step(quick_yaml: Path, data: Path, tmp_path: Path) -> None:
    def interrupt_after_the_first_step() -> None:
        log = tmp_path / "run" / "log.jsonl"
        while not (log.exists() and log.stat().st_size):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_after_the_first_step, daemon=True).start()
    with pytest.raises(Interrupted) as stopped:
        train(without_workers(quick_yaml, data), tmp_path / "run")
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
