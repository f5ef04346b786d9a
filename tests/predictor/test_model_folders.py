"""Models by name: folders, packaged ones, and the hub, here a small server that speaks its protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from uniperceiver import Predictor
from uniperceiver.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from uniperceiver.predictor import find_checkpoint, model_folders

COMMIT = "a" * 40


class SmallHub(ThreadingHTTPServer):
    """A hub with room for one repository, owner/tiny."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubRequest)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}


class HubRequest(BaseHTTPRequestHandler):
    """As much of the hub's protocol as publishing and downloading need."""

    server: SmallHub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        repository = f"{self.server.address}/owner/tiny"
        if self.path.endswith("/create"):
            self.answer({"url": repository, "name": "owner/tiny"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]})
        elif "/commit/" in self.path:
            self.commit(body)
            self.answer({"success": True, "commitUrl": f"{repository}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.answer({})

    def commit(self, body: bytes) -> None:
        for line in map(json.loads, body.decode().splitlines()):
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])

    def do_GET(self) -> None:
        files = self.server.files
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if "/api/models/owner/tiny/tree" in path:
            self.answer([{"type": "file", "path": f, "size": len(c), "oid": "0" * 40} for f, c in files.items()])
        elif "/api/models/owner/tiny" in path:
            self.answer({"id": "owner/tiny", "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]})
        elif "/owner/tiny/resolve/" in path and name in files:
            self.answer(files[name])
        else:
            self.answer({"error": "Repository not found"}, 404)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, content: object, status: int = 200) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """A test prints nothing."""


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    """A hub that answers while the test runs."""
    server = SmallHub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


USE = """
import sys
from uniperceiver import Predictor
from uniperceiver.checkpoint import CheckpointError
predictor = Predictor.from_pretrained(sys.argv[1])
print(predictor.push_to_hub("owner/tiny", card="a card"))
print(Predictor.from_pretrained("owner/tiny").fingerprint == predictor.fingerprint)
try:
    Predictor.from_pretrained("hf-hub:owner/nothing")
except CheckpointError as error:
    print(error)
"""


def test_what_is_pushed_to_the_hub_can_be_loaded_from_it(checkpoint: Checkpoint, tmp_path: Path, hub: SmallHub) -> None:
    save_checkpoint(checkpoint, tmp_path / "tiny")
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_x"}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    arguments = [sys.executable, "-c", USE, str(tmp_path / "tiny")]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    commit, is_same, error = done.stdout.splitlines()
    assert commit.endswith(COMMIT)
    assert is_same == "True"
    assert "no model owner/nothing" in error
    assert set(hub.files) == {"model.safetensors", "config.yaml", "tokenizer.json", "tasks.yaml", "README.md"}
    assert hub.files["README.md"] == b"a card"


def test_folders_and_packaged_names(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(checkpoint, tmp_path / "run" / "checkpoint")
    assert find_checkpoint(tmp_path / "run") == find_checkpoint(tmp_path / "run" / "checkpoint")
    assert Predictor.from_pretrained(tmp_path / "run").fingerprint == Predictor(checkpoint).fingerprint
    monkeypatch.setattr(model_folders, "PACKAGED", tmp_path / "packaged")
    with pytest.raises(CheckpointError, match="there are none in this installation"):
        find_checkpoint("nano")
    save_checkpoint(checkpoint, tmp_path / "packaged" / "nano")
    assert find_checkpoint("nano") == tmp_path / "packaged" / "nano"
    with pytest.raises(CheckpointError, match=r"\(nano\)"):
        find_checkpoint("/no/such/folder")


def test_the_model_card_says_how_to_use_it(checkpoint: Checkpoint) -> None:
    card = model_folders.model_card(checkpoint, "owner/tiny")
    assert 'Predictor.from_pretrained("owner/tiny")' in card
    assert "visual question answering" in card
    assert card.startswith("---\nlibrary_name: uniperceiver\n---\n")
