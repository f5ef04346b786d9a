"""Two trainings never write into one folder."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from uniperceiver.config import TrainConfig, load_train_config
from uniperceiver.training.folder_lock import FolderInUseError, folder_in_use
from uniperceiver.training.processes import train_in_processes
from uniperceiver.training.train import train

FORKED = multiprocessing.get_context("fork")


def hold(folder: Path, inside: Connection, is_loading: bool) -> None:
    """Be within until killed, perhaps with a child that lives on, as processes that load batches do for seconds."""
    with folder_in_use(folder):
        if is_loading and os.fork() == 0:
            os.close(inside.fileno())
            time.sleep(5)
            os._exit(0)
        inside.send("within")
        time.sleep(60)


@pytest.fixture
def config(train_yaml: Path, data: Path) -> TrainConfig:
    return load_train_config(str(train_yaml), {"root": str(data)})


def test_a_second_training_is_refused_until_the_first_is_gone(config: TrainConfig, tmp_path: Path) -> None:
    """Also when it is killed and one of its children is not."""
    out = tmp_path / "Läufe 1"
    here, there = FORKED.Pipe()
    holder = FORKED.Process(target=hold, args=(out, there, True))
    holder.start()
    assert here.recv() == "within"
    for begin in (lambda: train(config, out), lambda: train_in_processes(config, out, 1)):
        with pytest.raises(FolderInUseError, match=rf"Läufe 1 is in use by process {holder.pid} on .*another --out"):
            begin()
    holder.kill()
    holder.join()
    with folder_in_use(out):
        assert f"process {os.getpid()} on " in (out / ".lock").read_text()


def test_a_folder_that_is_a_file(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(NotADirectoryError, match=r"file is a file; choose another --out"):
            train(config, out)
