"""Training in two processes computes what one computes with the joint batch; and under torchrun, by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from uniperceiver import precision
from uniperceiver.checkpoint import load_checkpoint, load_training_state
from uniperceiver.config import load_train_config
from uniperceiver.distributed import rank
from uniperceiver.training.train import computed_by_all, train


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="unmixed"),
        pytest.param({"sampling": "mixed", "accumulate": 2, "checkpoint_activations": True}, id="mixed"),
    ],
)
def test_two_processes_train_as_one_with_the_joint_batch(
    changes: dict, train_yaml: Path, data: Path, tmp_path: Path, in_two_processes: Callable[..., None]
) -> None:
    """Streams without randomness inside a process: the same losses and, up to rounding, the same weights."""
    config = yaml.safe_load(train_yaml.read_text()) | changes
    kept = {name: config["streams"][name] for name in ("folders", "shards")}
    model = yaml.safe_load(Path(config["model"]).read_text())
    model["decoder"]["moe"]["noise"] = 0.0
    model["decoder"]["drop_path"] = 0.0
    Path(config["model"]).write_text(yaml.safe_dump(model))
    # Sums differ in the last bits, and AdamW turns bits of a tiny first gradient into whole steps.
    config["optimizer"] = {"learning_rate": 1.0e-4, "eps": 1.0e-3}
    if "sampling" in changes:
        config["optimizer"] |= {"name": "adamw"}
        config["schedule"]["steps"] = 3
        for stream in kept.values():
            stream["batch_size"] = 4  # half of it is each stream's share
    config["streams"] = kept
    train_yaml.write_text(yaml.safe_dump(config))
    in_two_processes(train, load_train_config(str(train_yaml), {"root": str(data)}), tmp_path / "two")

    for stream in kept.values():
        stream["batch_size"] *= 2
    train_yaml.write_text(yaml.safe_dump(config))
    train(load_train_config(str(train_yaml), {"root": str(data)}), tmp_path / "one")

    one, two = (load_checkpoint(tmp_path / name / "checkpoint").model.state_dict() for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-6, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
    norms = [[json.loads(line)["gradient_norm"] for line in log] for log in logs]
    assert norms[1] == pytest.approx(norms[0], rel=1e-6)


def vote() -> None:
    """Only the first of the two processes is quicker with bfloat16."""
    precision.compare_precisions = lambda: precision.Trial(1.0, 0.25 if rank() == 0 else 3.0)
    processor = torch.device("cpu")
    assert precision.computed_in("auto", processor) == ("bfloat16" if rank() == 0 else "float32")
    assert computed_by_all("auto", processor) == "float32"
    assert computed_by_all("bfloat16", processor) == "bfloat16"


def test_processes_agree_on_what_they_compute_in(in_two_processes: Callable[..., None]) -> None:
    in_two_processes(vote)


@pytest.mark.slow
def test_all_tasks_train_under_torchrun_and_go_on(
    train_yaml: Path, data: Path, tmp_path: Path, in_two_processes: Callable[..., None]
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "uniperceiver", "train", str(train_yaml), "--out", str(tmp_path / "run"), "--path", f"root={data}"]
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    state = load_training_state(tmp_path / "run" / "checkpoint")
    assert state.step == 8
    assert len(state.random_states) == 2
    config = load_train_config(str(train_yaml), {"root": str(data)})
    longer = replace(config, schedule=replace(config.schedule, steps=10))
    in_two_processes(train, longer, tmp_path / "run", True)
    assert load_training_state(tmp_path / "run" / "checkpoint").step == 10
