"""The server as a process of its own, started by its command."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from uniperceiver import Predictor
from uniperceiver.checkpoint import save_checkpoint

LOAD = Path(__file__).parents[2] / "benchmarks" / "server_load.py"


class Running:
    """A server process and its address."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "uniperceiver", "serve", "--model", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--queue", "64"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self.process.stderr is not None
        self.said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", self.said)):
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line
        self.address = found[0]

    def post(self, verb: str, content: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer of a JSON request."""
        request = urllib.request.Request(
            f"{self.address}/v1/{verb}", content, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def server(predictor: Predictor, tmp_path: Path) -> Iterator[Running]:
    save_checkpoint(predictor.checkpoint, tmp_path / "model")
    running = Running(tmp_path / "model")
    yield running
    running.process.kill()
    running.process.wait()
    assert running.process.stderr is not None
    running.process.stderr.close()


def test_mixed_verbs_and_mistakes_of_many_clients(server: Running, tmp_path: Path, monkeypatch) -> None:
    """What the benchmark of the server's load sends, in small."""
    found = importlib.util.spec_from_file_location("server_load", LOAD)
    assert found is not None
    assert found.loader is not None
    load = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "server_load", load)
    found.loader.exec_module(load)
    Image.effect_noise((64, 48), 60).save(tmp_path / "photo.png")
    asks = list(islice(load.mixed([load.small(tmp_path / "photo.png")]), 40))
    _, answers = load.send(server.address, asks, 16)
    assert [answer.status for answer in answers] == [ask.expected for ask in asks]
    assert load.metric(server.address, r"process_resident_memory_bytes (\S+)") > 2**20
    assert load.metric(server.address, r'uniperceiver_batch_size_count{verb="detect"} (\S+)') >= 1


def test_an_asker_who_goes_is_no_failure_of_the_server(server: Running) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    head = b"POST /v1/embed_text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    with socket.create_connection((host, int(port))) as asker:
        asker.sendall(head)
    counted = ""
    while 'verb="embed_text"' not in counted:
        time.sleep(0.05)
        counted = urllib.request.urlopen(f"{server.address}/metrics").read().decode()
    assert 'uniperceiver_requests_total{status="400",verb="embed_text"} 1.0' in counted
    server.process.terminate()
    assert server.process.stderr is not None
    assert "Traceback" not in server.process.stderr.read()


def test_many_clients_then_a_graceful_stop(server: Running) -> None:
    def ask(number: int) -> tuple[int, dict[str, Any]]:
        if number % 4 == 3:
            return server.post("embed_text", b'{"texts": [""]}')
        return server.post("embed_text", json.dumps({"texts": [f"text {number % 5}"]}).encode())

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(ask, range(64)))
        assert [status for status, _ in answers] == [422 if number % 4 == 3 else 200 for number in range(64)]
        np.testing.assert_allclose(answers[0][1]["embeddings"], answers[20][1]["embeddings"], atol=1e-5)

        many = json.dumps({"texts": [f"text number {number}" for number in range(1500)]}).encode()
        last = clients.submit(server.post, "embed_text", many)
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        assert last.result()[0] == 200  # what had come is still answered
    assert server.process.wait(300) in (0, -signal.SIGTERM)
    with pytest.raises(urllib.error.URLError):
        server.post("embed_text", b"{}")
